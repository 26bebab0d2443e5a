#include "host/report/roofline.h"

#include "host/base/text.h"

#include <math.h>
#include <string.h>

/* --- placing --------------------------------------------------------------------------------- */

static void place(const clv_roofline_unit *unit, clv_roofline_op *op) {
    const clv_unit_ceilings *c = &unit->ceilings;
    const double moved = op->bytes - op->weight_bytes;
    const clv_memory_level own = clv_level_of(c, moved);
    const clv_memory_level weights = clv_level_of(c, unit->weight_bytes);
    const double own_us = moved / c->all.bandwidth[own] * 1e6;
    const double weights_us = op->weight_bytes / c->all.bandwidth[weights] * 1e6;
    const double compute_us = op->flops / c->all.flops * 1e6;
    const double launch_us = op->launches * c->launch_us;
    op->intensity = op->bytes > 0 ? op->flops / op->bytes : 0;
    op->least_us = compute_us;
    op->bound = "compute";
    if (own_us + weights_us > op->least_us) {
        op->least_us = own_us + weights_us;
        op->bound = clv_memory_level_name(own_us >= weights_us ? own : weights);
    }
    if (launch_us > op->least_us) {
        op->least_us = launch_us;
        op->bound = "launch";
    }
    op->needed = c->one.flops / (2.0 * c->width) * c->chain_ns * 1e-9;
}

void clv_roofline_place(clv_roofline *roofline) {
    for (size_t u = 0; u < roofline->num_units; u++) {
        roofline->units[u].weight_bytes = 0;
    }
    for (size_t i = 0; i < roofline->num_ops; i++) {
        const clv_roofline_op *op = &roofline->ops[i];
        roofline->units[op->unit].weight_bytes += op->weight_bytes;
    }
    for (size_t i = 0; i < roofline->num_ops; i++) {
        place(&roofline->units[roofline->ops[i].unit], &roofline->ops[i]);
    }
}

/* --- the picture ----------------------------------------------------------------------------- */

enum { WIDTH = 1000, HEIGHT = 520, LEFT = 70, RIGHT = 150, TOP = 30, BOTTOM = 46 };

/* Decades shown along each axis. */
typedef struct axes {
    double x0, x1, y0, y1; /* logarithms to base 10 */
} axes;

static double x_of(const axes *a, double intensity) {
    return LEFT + (log10(intensity) - a->x0) / (a->x1 - a->x0) * (WIDTH - LEFT - RIGHT);
}

static double y_of(const axes *a, double gflops) {
    return HEIGHT - BOTTOM - (log10(gflops) - a->y0) / (a->y1 - a->y0) * (HEIGHT - TOP - BOTTOM);
}

static bool is_shown(const clv_roofline_op *op, size_t unit) {
    return op->unit == unit && op->flops > 0 && op->bytes > 0 && op->time_us > 0;
}

static axes axes_for(const clv_roofline *roofline, size_t unit) {
    axes a = {-1, 3, 0, ceil(log10(roofline->units[unit].ceilings.all.flops * 1e-9) + 0.1)};
    for (size_t i = 0; i < roofline->num_ops; i++) {
        const clv_roofline_op *op = &roofline->ops[i];
        if (is_shown(op, unit)) {
            const double x = log10(op->intensity), y = log10(op->flops / op->time_us * 1e-3);
            a.x0 = fmin(a.x0, floor(x));
            a.x1 = fmax(a.x1, ceil(x));
            a.y0 = fmax(fmin(a.y0, floor(y)), -4);
            a.y1 = fmax(a.y1, ceil(y));
        }
    }
    a.x0 = fmax(a.x0, -4);
    a.x1 = fmin(a.x1, 6);
    return a;
}

static void add_grid(clv_text *text, const axes *a) {
    for (int d = (int)a->x0; d <= (int)a->x1; d++) {
        const double x = x_of(a, pow(10, d));
        clv_text_add(
            text,
            "<path class=\"grid\" d=\"M%.1f %d V%d\"/><text class=\"soft mid\" x=\"%.1f\" "
            "y=\"%d\">%g</text>\n",
            x, TOP, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 16, pow(10, d));
    }
    for (int d = (int)a->y0; d <= (int)a->y1; d++) {
        const double y = y_of(a, pow(10, d));
        clv_text_add(
            text,
            "<path class=\"grid\" d=\"M%d %.1f H%d\"/><text class=\"soft end\" x=\"%d\" "
            "y=\"%.1f\">%g</text>\n",
            LEFT, y, WIDTH - RIGHT, LEFT - 6, y + 4, pow(10, d));
    }
    clv_text_add(
        text,
        "<text class=\"soft mid\" x=\"%d\" y=\"%d\">FLOP a byte</text><text class=\"soft\" "
        "x=\"6\" y=\"14\">GFLOP/s</text>\n",
        (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8);
}

/* One bandwidth's slope up to the peak, and for the slowest the peak itself. */
static void add_roof(
    clv_text *text, const axes *a, const clv_reached *reached, int level, bool is_one) {
    const double peak = reached->flops * 1e-9, slope = reached->bandwidth[level] * 1e-9;
    if (slope <= 0) {
        return;
    }
    const double least = pow(10, a->x0), lowest = pow(10, a->y0), most = pow(10, a->x1);
    const double from = fmax(least, lowest / slope), ridge = peak / slope;
    const char *style = is_one ? "one" : "roof";
    if (from >= ridge) {
        return;
    }
    clv_text_add(
        text, "<path class=\"%s\" d=\"M%.1f %.1f L%.1f %.1f\"/>\n", style, x_of(a, from),
        y_of(a, from * slope), x_of(a, fmin(ridge, most)), y_of(a, fmin(peak, most * slope)));
    if (!is_one) { /* along the slope */
        const double at = fmax(from * 1.15, least * pow(1.6, level));
        const double x = x_of(a, at), y = y_of(a, at * slope);
        const double up = (HEIGHT - TOP - BOTTOM) / (a->y1 - a->y0);
        const double right = (WIDTH - LEFT - RIGHT) / (a->x1 - a->x0);
        clv_text_add(
            text,
            "<text transform=\"translate(%.1f %.1f) rotate(%.1f)\" y=\"-5\">%s %.0f "
            "GB/s</text>\n",
            x, y, -atan2(up, right) * 180 / 3.14159265358979,
            clv_memory_level_name((clv_memory_level)level), slope);
    }
    if (level == CLV_LEVEL_MEMORY || is_one) {
        clv_text_add(
            text,
            "<path class=\"%s\" d=\"M%.1f %.1f H%d\"/><text x=\"%d\" y=\"%.1f\">%s %.0f "
            "GFLOP/s</text>\n",
            style, x_of(a, peak / reached->bandwidth[is_one ? level : CLV_LEVEL_MEMORY] * 1e9),
            y_of(a, peak), WIDTH - RIGHT, WIDTH - RIGHT + 6, y_of(a, peak) + 4,
            is_one ? "one lane" : "peak", peak);
    }
}

/* The peak, from where the fastest slope meets it. */
static void add_peak(clv_text *text, const axes *a, const clv_reached *reached) {
    double fastest = 0;
    for (int level = 0; level < CLV_NUM_LEVELS; level++) {
        fastest = fmax(fastest, reached->bandwidth[level]);
    }
    const double peak = reached->flops * 1e-9;
    if (fastest > 0) {
        clv_text_add(
            text, "<path class=\"roof\" d=\"M%.1f %.1f H%d\"/>\n",
            fmax(x_of(a, reached->flops / fastest), LEFT), y_of(a, peak), WIDTH - RIGHT);
    }
}

/* Colours by what binds. */
static const char *class_of(const clv_roofline_op *op) {
    return strcmp(op->bound, "compute") == 0  ? "compute"
           : strcmp(op->bound, "launch") == 0 ? "launch"
                                              : "bytes";
}

static void add_points(clv_text *text, const clv_roofline *roofline, size_t unit, const axes *a) {
    double all_us = 0;
    for (size_t i = 0; i < roofline->num_ops; i++) {
        all_us += is_shown(&roofline->ops[i], unit) ? roofline->ops[i].time_us : 0;
    }
    for (size_t i = 0; i < roofline->num_ops; i++) {
        const clv_roofline_op *op = &roofline->ops[i];
        if (!is_shown(op, unit)) {
            continue;
        }
        const double gflops = op->flops / op->time_us * 1e-3;
        const double x = fmin(fmax(op->intensity, pow(10, a->x0)), pow(10, a->x1));
        clv_text_add(
            text, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"><title>", class_of(op),
            x_of(a, x), y_of(a, fmax(gflops, pow(10, a->y0))),
            3.5 + 22 * sqrt(op->time_us / all_us) / 2);
        clv_text_add_xml(text, op->node);
        clv_text_add(text, "\n");
        clv_text_add_xml(text, op->op);
        clv_text_add(text, " ");
        clv_text_add_xml(text, op->variant != NULL ? op->variant : "");
        clv_text_add(
            text,
            "\n%.1f us, %.1f GFLOP/s, %.2f FLOP a byte\nbound by %s, %.0f%%</title></circle>\n",
            op->time_us, gflops, op->intensity, op->bound, 100 * op->least_us / op->time_us);
    }
}

static void add_picture(clv_text *text, const clv_roofline *roofline, size_t unit) {
    const clv_unit_ceilings *c = &roofline->units[unit].ceilings;
    const axes a = axes_for(roofline, unit);
    clv_text_add(
        text, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"roofline\">\n", WIDTH, HEIGHT);
    add_grid(text, &a);
    for (int level = 0; level < CLV_NUM_LEVELS; level++) {
        add_roof(text, &a, &c->all, level, false);
    }
    add_peak(text, &a, &c->all);
    if (c->num_lanes > 1 && c->one.flops < 0.9 * c->all.flops) {
        add_roof(text, &a, &c->one, CLV_LEVEL_MEMORY, true);
    }
    add_points(text, roofline, unit, &a);
    clv_text_add(text, "</svg>\n");
}

/* --- the page -------------------------------------------------------------------------------- */

static const char head[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<style>\n"
    ":root{--page:#fff;--ink:#1a1d21;--soft:#5b6470;--line:#d9dee4;--compute:#2f6fb7;"
    "--bytes:#c2571a;--launch:#7b8794}\n"
    "@media (prefers-color-scheme:dark){:root{--page:#14171c;--ink:#e8ebee;--soft:#9aa4b0;"
    "--line:#323942;--compute:#6ea8ea;--bytes:#f08a4b;--launch:#8a929c}}\n"
    "body{background:var(--page);color:var(--ink);font:14px system-ui,'DejaVu Sans',sans-serif;"
    "max-width:1100px;margin:24px auto;padding:0 16px}\n"
    "h1{font-size:20px}h2{font-size:16px;margin-top:28px}svg{width:100%;height:auto}\n"
    "svg text{font:12px system-ui,'DejaVu Sans',sans-serif;fill:var(--ink)}"
    ".soft{fill:var(--soft)!important;color:var(--soft)}.mid{text-anchor:middle}"
    ".end{text-anchor:end}\n"
    ".grid{stroke:var(--line);fill:none}.roof{stroke:var(--ink);stroke-width:1.6;fill:none}"
    ".one{stroke:var(--soft);stroke-width:1.2;stroke-dasharray:5 4;fill:none}\n"
    "circle{fill-opacity:.55;stroke-width:1.2}circle.compute{fill:var(--compute);"
    "stroke:var(--compute)}circle.bytes{fill:var(--bytes);stroke:var(--bytes)}"
    "circle.launch{fill:var(--launch);stroke:var(--launch)}\n"
    ".key.compute{color:var(--compute)}.key.bytes{color:var(--bytes)}"
    ".key.launch{color:var(--launch)}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "td,th{padding:3px 10px;border-bottom:1px solid var(--line);text-align:right;"
    "white-space:nowrap}td.t,th.t{text-align:left;white-space:normal;word-break:break-word}\n"
    ".wide{overflow-x:auto}\n</style>\n<title>";

static void add_ceilings(clv_text *text, const clv_unit_ceilings *c) {
    const clv_reached *const both[] = {&c->one, &c->all};
    clv_text_add(text, "<div class=\"wide\"><table><tr><th class=\"t\"></th><th>GFLOP/s</th>");
    for (int level = 0; level < CLV_NUM_LEVELS; level++) {
        clv_text_add(text, "<th>%s GB/s</th>", clv_memory_level_name((clv_memory_level)level));
    }
    clv_text_add(text, "</tr>\n");
    for (int i = c->num_lanes > 1 && c->one.bandwidth[CLV_LEVEL_MEMORY] > 0 ? 0 : 1; i < 2; i++) {
        clv_text_add(
            text, "<tr><td class=\"t\">%s</td><td>%.0f</td>", i == 0 ? "one lane" : "all lanes",
            both[i]->flops * 1e-9);
        for (int level = 0; level < CLV_NUM_LEVELS; level++) {
            if (both[i]->bandwidth[level] > 0) {
                clv_text_add(text, "<td>%.0f</td>", both[i]->bandwidth[level] * 1e-9);
            } else {
                clv_text_add(text, "<td></td>");
            }
        }
        clv_text_add(text, "</tr>\n");
    }
    clv_text_add(
        text,
        "</table></div>\n<p>Little's law: a multiply-add takes %.2f ns, so a lane "
        "has to have %.1f vectors of sums under way for its peak",
        c->chain_ns, c->one.flops / (2.0 * c->width) * c->chain_ns * 1e-9);
    if (c->memory_ns > 0) {
        clv_text_add(
            text,
            "; a load from memory takes %.0f ns, so it needs %.1f KiB under way for the "
            "bandwidth it reaches alone",
            c->memory_ns, c->one.bandwidth[CLV_LEVEL_MEMORY] * c->memory_ns * 1e-9 / 1024);
    }
    clv_text_add(text, ". A launch takes %.2f us.</p>\n", c->launch_us);
}

static void add_row(clv_text *text, const clv_roofline *roofline, const clv_roofline_op *op) {
    clv_text_add(text, "<tr><td class=\"t\">");
    clv_text_add_xml(text, op->node);
    clv_text_add(text, "</td><td class=\"t\">");
    clv_text_add_xml(text, op->op);
    clv_text_add(text, " ");
    clv_text_add_xml(text, op->variant != NULL ? op->variant : "");
    clv_text_add(text, "</td>");
    if (roofline->num_units > 1) {
        clv_text_add(text, "<td class=\"t\">");
        clv_text_add_xml(text, roofline->units[op->unit].name);
        clv_text_add(text, "</td>");
    }
    clv_text_add(
        text,
        "<td>%.1f</td><td>%.1f</td><td>%.1f</td><td>%.2f</td><td class=\"t\">%s</td>"
        "<td>%.0f%%</td><td>",
        op->time_us, op->flops / op->time_us * 1e-3, op->bytes / op->time_us * 1e-3, op->intensity,
        op->bound, 100 * op->least_us / op->time_us);
    if (op->num_sums != 0) {
        clv_text_add(text, "%u of %.0f", op->num_sums, ceil(op->needed - 0.05));
    }
    clv_text_add(text, "</td></tr>\n");
}

clv_status *clv_roofline_page(const clv_roofline *roofline, char **out_html) {
    clv_text text;
    clv_text_init(&text);
    clv_text_add(&text, "%s", head);
    clv_text_add_xml(&text, roofline->title);
    clv_text_add(&text, "</title></head><body>\n<h1>");
    clv_text_add_xml(&text, roofline->title);
    clv_text_add(
        &text, "</h1>\n<p>Each operator under the ceilings of its unit; areas are shares of time. "
               "Bound by <b class=\"key compute\">multiply-adds</b>, <b class=\"key bytes\">bytes"
               "</b>, <b class=\"key launch\">launches</b>.</p>\n");
    for (size_t u = 0; u < roofline->num_units; u++) {
        clv_text_add(&text, "<h2>");
        clv_text_add_xml(&text, roofline->units[u].name);
        clv_text_add(&text, "</h2>\n");
        add_picture(&text, roofline, u);
        add_ceilings(&text, &roofline->units[u].ceilings);
    }
    clv_text_add(
        &text,
        "<h2>Operators</h2>\n<div class=\"wide\"><table><tr><th class=\"t\">node</th>"
        "<th class=\"t\">operator</th>%s<th>us</th><th>GFLOP/s</th><th>GB/s</th>"
        "<th>FLOP a byte</th><th class=\"t\">bound</th><th>of ceiling</th><th>sums under way"
        "</th></tr>\n",
        roofline->num_units > 1 ? "<th class=\"t\">unit</th>" : "");
    for (size_t i = 0; i < roofline->num_ops; i++) {
        if (roofline->ops[i].time_us > 0) {
            add_row(&text, roofline, &roofline->ops[i]);
        }
    }
    clv_text_add(&text, "</table></div>\n</body></html>\n");
    return clv_text_take(&text, out_html);
}
