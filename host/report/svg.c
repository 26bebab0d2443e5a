/* A picture of a run as SVG. Geometry in pixels; text is measured by the number of its characters,
 * generously, as nothing here knows the fonts. */
#include "host/report/picture.h"

#include "host/base/memory.h"
#include "host/base/utf8.h"

#include <math.h>
#include <string.h>

enum {
    WIDTH = 1200,
    MARGIN = 20,
    HEAD = 112, /* title and facts */
    LANE = 22,  /* of a row */
    GAP = 6,    /* between rows */
    GROUP = 12, /* between units and links */
    STRIP = 4,  /* marks the critical path */
    FOOT = 56,  /* legend */
    LINE = 17,  /* of text under it */
    MAX_ACCOUNTS = 16,
    BUSY = 52, /* the column of busy shares */
    MAX_ROWS = 200,
    MAX_SPANS = 4000, /* that are drawn one by one */
    BIN = 2,          /* of a row drawn by its density */
    MAX_LABEL = 28
};

static const double glyph = 6.4; /* a character of the labels */

typedef struct svg {
    const clv_picture *picture;
    clv_text *text;
    double left, scale; /* x = left + scale * time */
    double *row_y;      /* [num_rows]: top of each row */
    bool *is_dense;     /* [num_rows] */
    uint32_t num_rows;
    double bottom;
} svg;

/* Colours of light pages stand first and without variables, which not every reader of SVG knows. */
static const char style[] =
    "<style>\n"
    "text{font:11px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;"
    "fill:#1a1d21}\n"
    ".page{fill:#ffffff}.band{fill:#f5f7f9}.grid{stroke:#d9dee4}\n"
    ".title{font-size:17px;font-weight:600}.soft{fill:#5b6470}.value{font-size:14px;"
    "font-weight:600}\n"
    ".end{text-anchor:end}.mid{text-anchor:middle}\n"
    ".s rect{stroke:#000000;stroke-opacity:.35;stroke-width:.75}"
    ".s text{fill:#000000;pointer-events:none}\n"
    ".c{fill:" CLV_PICTURE_CRITICAL ";stroke:none!important}\n"
    ".way{fill:none;stroke:" CLV_PICTURE_CRITICAL ";stroke-width:1.25}\n"
    "@media (prefers-color-scheme:dark){text{fill:#e8ebee}.page{fill:#14171c}"
    ".band{fill:#1b1f26}.grid{stroke:#323942}.soft{fill:#9aa4b0}.s rect{stroke-opacity:.5}"
    ".c{fill:#ff6b52}.way{stroke:#ff6b52}}\n"
    "</style>\n"
    "<defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
    "patternTransform=\"rotate(45)\"><rect width=\"6\" height=\"6\" fill=\"" CLV_PICTURE_TRANSFER
    "\"/><rect width=\"2\" height=\"6\" fill=\"#8a929c\"/></pattern></defs>\n";

/* --- text --- */

static int count_characters(const char *text) {
    int count = 0;
    while (*text != '\0') {
        size_t length = clv_utf8_length(text);
        text += length > 0 ? length : 1;
        count++;
    }
    return count;
}

/* As many characters as fit into `width`, with "..." for the rest; at least one. */
static void add_fitted(clv_text *text, const char *name, double width) {
    int room = (int)(width / glyph), count = count_characters(name);
    char buffer[512];
    size_t bytes = 0;
    int keep = count <= room ? count : room > 4 ? room - 2 : 1;
    while (keep-- > 0 && *name != '\0' && bytes < sizeof buffer - 8) {
        size_t length = clv_utf8_length(name);
        length = length > 0 ? length : 1;
        memcpy(buffer + bytes, name, length);
        bytes += length;
        name += length;
    }
    buffer[bytes] = '\0';
    clv_text_add_xml(text, buffer);
    if (*name != '\0') {
        clv_text_add(text, "…");
    }
}

static double x_of(const svg *g, double time_us) {
    return g->left + g->scale * time_us;
}

/* --- head --- */

static void add_facts(svg *g) {
    clv_picture_fact facts[CLV_PICTURE_FACTS];
    clv_picture_get_facts(g->picture, facts);
    for (int i = 0; i < CLV_PICTURE_FACTS; i++) {
        double x = MARGIN + i * (WIDTH - 2 * MARGIN) / (double)CLV_PICTURE_FACTS;
        clv_text_add(
            g->text,
            "<text class=\"soft\" x=\"%.0f\" y=\"70\">%s</text>"
            "<text class=\"value\" x=\"%.0f\" y=\"88\">%s</text>"
            "<text class=\"soft\" x=\"%.0f\" y=\"103\">",
            x, facts[i].what, x, facts[i].value, x);
        add_fitted(g->text, facts[i].more, 220);
        clv_text_add(g->text, "</text>\n");
    }
}

static void add_head(svg *g) {
    clv_text subtitle;
    clv_text_init(&subtitle);
    clv_picture_add_subtitle(g->picture, &subtitle);
    clv_text_add(g->text, "<text class=\"title\" x=\"%d\" y=\"30\">", MARGIN);
    add_fitted(g->text, g->picture->title, 720);
    clv_text_add(g->text, "</text><text class=\"soft\" x=\"%d\" y=\"48\">", MARGIN);
    add_fitted(g->text, subtitle.data != NULL ? subtitle.data : "", WIDTH - 2 * MARGIN);
    clv_text_add(g->text, "</text>\n");
    g->text->failed = g->text->failed || subtitle.failed;
    clv_text_deinit(&subtitle);
    add_facts(g);
}

static void add_axis(svg *g) {
    clv_picture_axis axis = clv_picture_make_axis(g->picture->end_us, 10);
    double top = HEAD + 22;
    for (uint32_t i = 0; i <= axis.num_steps; i++) {
        double time_us = i * axis.step_us, x = x_of(g, time_us);
        clv_text_add(
            g->text,
            "<path class=\"grid\" d=\"M%.2f %.0fV%.0f\"/>"
            "<text class=\"soft mid\" x=\"%.2f\" y=\"%.0f\">%.10g%s%s</text>\n",
            x, top, g->bottom, x, top - 6, time_us / axis.unit_us, i == axis.num_steps ? " " : "",
            i == axis.num_steps ? axis.unit : "");
    }
    clv_text_add(
        g->text, "<text class=\"soft end\" x=\"%d\" y=\"%.0f\">busy</text>\n", WIDTH - MARGIN,
        top - 6);
}

/* --- layout --- */

static double layer_height(const clv_picture_row *row) {
    return row->num_lanes * LANE;
}

static double row_height(const svg *g, const clv_picture_row *row) {
    return layer_height(row) * g->picture->num_layers;
}

/* Rows whose spans are mostly too narrow; and all that have many where there are too many. */
static bool find_density(const svg *g, const clv_picture_row *row) {
    uint64_t num_spans = 0, num_narrow = 0, total = 0;
    for (uint32_t l = 0; l < g->picture->num_layers; l++) {
        const clv_timeline_row *r = row->of_layer[l];
        const clv_timeline *t = g->picture->layers[l].timeline;
        total += t->num_spans;
        for (uint64_t i = 0; r != NULL && i < r->num_spans; i++) {
            const clv_span *span = &t->spans[r->first_span + i];
            num_narrow += (span->end_us - span->start_us) * g->scale < 1.5;
            num_spans++;
        }
    }
    return (num_spans > 8 && num_narrow * 2 > num_spans && num_spans > 100) ||
           (total > MAX_SPANS && num_spans > MAX_SPANS / g->num_rows);
}

static clv_status *lay_out(svg *g) {
    const clv_picture *p = g->picture;
    int longest = 8;
    double y = HEAD + 28;
    g->num_rows = p->num_rows < MAX_ROWS ? p->num_rows : MAX_ROWS;
    g->row_y = clv_alloc_zeroed((size_t)g->num_rows + 1, sizeof *g->row_y);
    g->is_dense = clv_alloc_zeroed((size_t)g->num_rows + 1, sizeof *g->is_dense);
    if (g->row_y == NULL || g->is_dense == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a picture");
    }
    for (uint32_t i = 0; i < g->num_rows; i++) {
        int count = count_characters(p->rows[i].label);
        longest = count > longest ? count : longest;
        if (i > 0 && p->rows[i].is_unit != p->rows[i - 1].is_unit) {
            y += GROUP;
        }
        g->row_y[i] = y;
        y += row_height(g, &p->rows[i]) + GAP;
    }
    g->bottom = y;
    g->left = MARGIN + fmin(longest, MAX_LABEL) * glyph + 14;
    double right = WIDTH - MARGIN - BUSY;
    g->scale = p->end_us > 0 ? (right - g->left) / p->end_us : 0;
    for (uint32_t i = 0; i < g->num_rows; i++) {
        g->is_dense[i] = find_density(g, &p->rows[i]);
    }
    return NULL;
}

/* --- spans --- */

static void add_tooltip(svg *g, const clv_picture_layer *layer, const clv_span *span) {
    const clv_schedule_step *step = clv_picture_step(layer, span);
    const char *reason = clv_picture_step_reason(layer, step);
    char name[256], start[CLV_PICTURE_NUMBER], end[CLV_PICTURE_NUMBER];
    char duration[CLV_PICTURE_NUMBER], bytes[CLV_PICTURE_NUMBER];
    clv_text cause;
    clv_text_init(&cause);
    clv_schedule_name_step(layer->schedule, span->step, name, sizeof name);
    clv_picture_time(start, span->start_us);
    clv_picture_time(end, span->end_us);
    clv_picture_time(duration, span->end_us - span->start_us);
    clv_picture_bytes(bytes, (double)step->bytes);
    clv_picture_add_cause(layer, span->step, &cause);
    clv_text_add(g->text, "<title>");
    clv_text_add_xml(g->text, name);
    clv_text_add(g->text, "\n%s to %s: %s\n%s", start, end, duration, bytes);
    if (span->slot != CLV_NO_INDEX) {
        clv_text_add(g->text, " in buffer %u", span->slot);
    }
    clv_text_add(g->text, "\n");
    clv_text_add_xml(g->text, cause.data != NULL ? cause.data : "");
    if (reason != NULL) {
        clv_text_add(g->text, "\nplaced: ");
        clv_text_add_xml(g->text, reason);
    }
    clv_text_add(
        g->text, "%s</title>", layer->is_critical[span->step] ? "\non the critical path" : "");
    g->text->failed = g->text->failed || cause.failed;
    clv_text_deinit(&cause);
}

/* The name and the request, or what of them fits. */
static void add_label(svg *g, const clv_schedule_step *step, double x, double width, double y) {
    const char *name = clv_picture_step_name(g->picture, step);
    char request[CLV_PICTURE_NUMBER] = "";
    double room = width - 6;
    if (g->picture->schedule->num_requests > 1) {
        clv_format(request, sizeof request, "%u", step->request);
    }
    double beside = request[0] != '\0' ? ((double)strlen(request) + 1) * glyph : 0;
    bool has_name = room - beside >= fmin(count_characters(name), 5) * glyph;
    if (!has_name && (request[0] == '\0' || room < (double)strlen(request) * glyph - 2)) {
        return;
    }
    clv_text_add(
        g->text, "<text class=\"mid\" x=\"%.2f\" y=\"%.2f\">", x + width / 2, y + LANE / 2.0 + 3);
    if (has_name) {
        add_fitted(g->text, name, room - beside);
        clv_text_add(g->text, request[0] != '\0' ? " " : "");
    }
    clv_text_add(g->text, "%s</text>", request);
}

static void add_span(svg *g, const clv_picture_layer *layer, uint64_t index, double y) {
    const clv_span *span = &layer->timeline->spans[index];
    const clv_schedule_step *step = clv_picture_step(layer, span);
    double x = x_of(g, span->start_us), width = fmax(0.75, x_of(g, span->end_us) - x);
    y += layer->lane[index] * LANE + 1;
    const char *fill = clv_picture_is_send(step)
                           ? "url(#hatch)"
                           : clv_picture_colours[clv_picture_colour(g->picture, step)];
    clv_text_add(
        g->text,
        "<g><rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%d\" rx=\"%.1f\" "
        "fill=\"%s\"/>",
        x, y, width, LANE - 2, fmin(2, width / 4), fill);
    if (layer->is_critical[span->step]) {
        clv_text_add(
            g->text, "<rect class=\"c\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%d\"/>", x,
            y + LANE - 2 - STRIP, width, STRIP);
    }
    if (clv_picture_is_send(step) && width > 24) { /* behind its name, over the hatching */
        clv_text_add(
            g->text,
            "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%d\" fill=\"%s\" "
            "stroke=\"none\" style=\"stroke:none\"/>",
            x + 4, y + 3, width - 8, LANE - 9, CLV_PICTURE_TRANSFER);
    }
    add_label(g, step, x, width, y - 1);
    add_tooltip(g, layer, span);
    clv_text_add(g->text, "</g>\n");
}

/* What spans cover of each bin, a mountain range on the row's floor; and its critical part. */
static clv_status *add_density(
    svg *g, const clv_picture_layer *layer, const clv_timeline_row *row, double y) {
    int num_bins = (int)((WIDTH - MARGIN - BUSY - g->left) / BIN) + 1;
    double bin_us = BIN / g->scale;
    double *covered = clv_alloc_zeroed(2 * (size_t)num_bins, sizeof *covered);
    if (covered == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a picture");
    }
    clv_picture_cover(layer, row, bin_us, (uint32_t)num_bins, covered);
    for (int kind = 0; kind < 2; kind++) {
        double floor_y = y + LANE - 1, height = kind == 0 ? LANE - 2 : STRIP;
        clv_text_add(
            g->text, "<path fill=\"%s\"%s d=\"M%.0f %.1f",
            row->is_unit ? CLV_PICTURE_DENSITY : "#8a929c", kind == 1 ? " class=\"c\"" : "",
            g->left, floor_y);
        double last = 0;
        for (int b = 0; b < num_bins; b++) {
            double level = rint(fmin(1, covered[kind * num_bins + b]) * height * 10) / 10;
            if (level != last) {
                clv_text_add(g->text, "H%.0fV%.1f", g->left + b * BIN, floor_y - level);
                last = level;
            }
        }
        clv_text_add(g->text, "H%.0fV%.1fZ\"/>\n", g->left + num_bins * BIN, floor_y);
    }
    clv_free(covered);
    return NULL;
}

static void add_band(svg *g, uint32_t index) {
    const clv_picture_row *row = &g->picture->rows[index];
    double y = g->row_y[index];
    clv_text_add(
        g->text,
        "<rect class=\"band\" x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\"/>"
        "<text class=\"end\" x=\"%.0f\" y=\"%.0f\">",
        g->left, y, WIDTH - MARGIN - BUSY - g->left, row_height(g, row), g->left - 8,
        y + LANE / 2.0 + 4);
    clv_text label;
    clv_text_init(&label);
    clv_picture_add_short(&label, row->label, MAX_LABEL);
    clv_text_add_xml(g->text, label.data != NULL ? label.data : "");
    g->text->failed = g->text->failed || label.failed;
    clv_text_deinit(&label);
    clv_text_add(g->text, "</text>\n");
}

static void add_busy(svg *g, const clv_timeline_row *row, double y) {
    char busy[CLV_PICTURE_NUMBER], idle[CLV_PICTURE_NUMBER], time[CLV_PICTURE_NUMBER];
    clv_picture_percent(busy, row->busy);
    clv_picture_percent(idle, 1 - row->busy);
    clv_picture_time(time, row->busy_us);
    clv_text_add(
        g->text,
        "<text class=\"soft end\" x=\"%d\" y=\"%.0f\">%s<title>busy %s (%s), idle %s, "
        "%llu steps</title></text>\n",
        WIDTH - MARGIN, y + LANE / 2.0 + 4, busy, busy, time, idle,
        (unsigned long long)row->num_spans);
}

static clv_status *add_row(svg *g, uint32_t index) {
    const clv_picture *p = g->picture;
    const clv_picture_row *row = &p->rows[index];
    double y = g->row_y[index];
    for (uint32_t l = 0; l < p->num_layers; l++, y += layer_height(row)) {
        const clv_timeline_row *r = row->of_layer[l];
        if (r == NULL) {
            continue;
        }
        add_busy(g, r, y);
        if (g->is_dense[index]) {
            CLV_TRY(add_density(g, &p->layers[l], r, y));
            continue;
        }
        clv_text_add(g->text, "<g class=\"s\"%s>\n", l > 0 ? " opacity=\".75\"" : "");
        for (uint64_t i = 0; i < r->num_spans; i++) {
            add_span(g, &p->layers[l], r->first_span + i, y);
        }
        clv_text_add(g->text, "</g>\n");
    }
    return NULL;
}

/* --- the way of the critical path, behind the spans --- */

static uint32_t find_row(const svg *g, uint32_t resource) {
    uint32_t low = 0, high = g->num_rows;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (g->picture->rows[middle].resource < resource) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < g->num_rows && g->picture->rows[low].resource == resource ? low : CLV_NO_INDEX;
}

static void add_way(svg *g) {
    const clv_picture *p = g->picture;
    const clv_critical_path *path = p->layers[0].path;
    const clv_run *run = p->layers[0].run;
    if (path->num_steps > MAX_SPANS) {
        return;
    }
    clv_text_add(g->text, "<path class=\"way\" d=\"");
    for (uint64_t i = 1; i < path->num_steps; i++) {
        uint32_t before = path->steps[i - 1], step = path->steps[i];
        uint32_t from = find_row(g, clv_run_resource(p->schedule, run, before, 0));
        uint32_t to = find_row(g, clv_run_resource(p->schedule, run, step, 0));
        if (from != to && from != CLV_NO_INDEX && to != CLV_NO_INDEX) {
            double middle = LANE - STRIP / 2.0 - 1;
            clv_text_add(
                g->text, "M%.2f %.1fL%.2f %.1f", x_of(g, run->end_us[before]),
                g->row_y[from] + middle, x_of(g, run->start_us[step]), g->row_y[to] + middle);
        }
    }
    clv_text_add(g->text, "\"/>\n");
}

/* --- foot --- */

static double add_key(svg *g, double x, const char *fill, bool is_critical, const char *what) {
    double y = g->bottom + 16;
    clv_text_add(
        g->text,
        "<g class=\"s\"><rect x=\"%.1f\" y=\"%.1f\" width=\"16\" height=\"12\" rx=\"2\" "
        "fill=\"%s\"/>",
        x, y, fill);
    if (is_critical) {
        clv_text_add(
            g->text, "<rect class=\"c\" x=\"%.1f\" y=\"%.1f\" width=\"16\" height=\"%d\"/>", x,
            y + 12 - STRIP, STRIP);
    }
    clv_text_add(g->text, "</g><text class=\"soft\" x=\"%.1f\" y=\"%.1f\">", x + 21, y + 10);
    add_fitted(g->text, what, 24 * glyph);
    clv_text_add(g->text, "</text>\n");
    return x + 21 + fmin(count_characters(what), 24) * glyph + 18;
}

static void add_foot(svg *g) {
    const clv_picture *p = g->picture;
    double x = add_key(g, MARGIN, CLV_PICTURE_TRANSFER, true, "on the critical path");
    x = add_key(g, x, "url(#hatch)", false, "transfer");
    if (p->schedule->num_requests > 1) {
        for (uint32_t i = 0; i < p->schedule->num_requests && i < CLV_PICTURE_COLOURS; i++) {
            char what[CLV_PICTURE_NUMBER];
            clv_format(what, sizeof what, "%s%u", i == 0 ? "request " : "", i);
            if (i == 0 && p->schedule->num_requests > CLV_PICTURE_COLOURS) {
                clv_format(what, sizeof what, "request 0, %d, …", CLV_PICTURE_COLOURS);
            }
            x = add_key(g, x, clv_picture_colours[i], false, what);
        }
    } else {
        for (uint32_t i = 0; i < p->num_types && i < CLV_PICTURE_COLOURS && x < WIDTH - 220; i++) {
            x = add_key(g, x, clv_picture_colours[i], false, p->types[i]);
        }
    }
    if (p->num_layers > 1) {
        clv_text_add(
            g->text, "<text class=\"soft\" x=\"%.1f\" y=\"%.1f\">paler, below: %s</text>\n", x,
            g->bottom + 26, p->layers[1].name);
    }
    double y = g->bottom + 46;
    if (p->num_hidden_units > 0) {
        clv_text_add(
            g->text,
            "<text class=\"soft\" x=\"%d\" y=\"%.0f\">%u units that have nothing to do "
            "are left out</text>\n",
            MARGIN, y, p->num_hidden_units);
    }
    if (p->num_rows > g->num_rows) {
        clv_text_add(
            g->text, "<text class=\"soft\" x=\"%d\" y=\"%.0f\">%u more units and links</text>\n",
            WIDTH / 2, y, p->num_rows - g->num_rows);
    }
}

static uint32_t num_accounts(const svg *g) {
    const clv_accounts *accounts = g->picture->report->accounts;
    const uint32_t count = accounts != NULL ? accounts->num_units : 0;
    return count < MAX_ACCOUNTS ? count : MAX_ACCOUNTS;
}

/* Where the time went, a line for each unit. */
static void add_accounts(svg *g) {
    double y = g->bottom + FOOT + 6;
    for (uint32_t u = 0; u < num_accounts(g); u++, y += LINE) {
        clv_text line;
        clv_text_init(&line);
        clv_picture_add_account(g->picture, u, &line);
        clv_text_add(g->text, "<text x=\"%d\" y=\"%.0f\">", MARGIN, y);
        add_fitted(g->text, line.data != NULL ? line.data : "", WIDTH - 2 * MARGIN);
        clv_text_add(g->text, "</text>\n");
        g->text->failed = g->text->failed || line.failed;
        clv_text_deinit(&line);
    }
}

static clv_status *draw(svg *g) {
    CLV_TRY(lay_out(g));
    double height = g->bottom + FOOT + num_accounts(g) * LINE;
    clv_text_add(
        g->text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
        "viewBox=\"0 0 %d %.0f\" role=\"img\">\n<title>",
        WIDTH, height, WIDTH, height);
    clv_text_add_xml(g->text, g->picture->title);
    clv_text_add(g->text, "</title>\n%s", style);
    clv_text_add(g->text, "<rect class=\"page\" width=\"%d\" height=\"%.0f\"/>\n", WIDTH, height);
    add_head(g);
    for (uint32_t i = 0; i < g->num_rows; i++) {
        add_band(g, i);
    }
    add_axis(g);
    add_way(g);
    for (uint32_t i = 0; i < g->num_rows; i++) {
        CLV_TRY(add_row(g, i));
    }
    add_foot(g);
    add_accounts(g);
    clv_text_add(g->text, "</svg>\n");
    return NULL;
}

clv_status *clv_report_svg(const clv_report *report, char **out_text) {
    clv_picture *picture;
    clv_text text;
    *out_text = NULL;
    CLV_TRY(clv_picture_create(report, &picture));
    clv_text_init(&text);
    svg g = {.picture = picture, .text = &text};
    clv_status *status = draw(&g);
    clv_free(g.row_y);
    clv_free(g.is_dense);
    clv_picture_destroy(picture);
    if (status != NULL) {
        clv_text_deinit(&text);
        return status;
    }
    return clv_text_take(&text, out_text);
}
