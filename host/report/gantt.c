#include "host/report/picture.h"

#include "host/base/memory.h"
#include "host/base/utf8.h"

#include <math.h>
#include <string.h>

enum {
    COLUMNS = 92, /* of time */
    MAX_LABEL = 28,
    MAX_ROWS = 64,    /* more are counted */
    MAX_ERRORS = 200, /* likewise */
    MAX_SHARES = 6    /* of the critical path that are named */
};

typedef struct gantt {
    const clv_picture *picture;
    clv_text *text;
    int label_width;
} gantt;

/* --- names --- */

/* A name is anything: what a terminal would take as a command becomes '?'. Cut off or filled up to
 * `width` characters; returns how many were written, at most `width`. */
static int put_name(char *out, size_t *out_bytes, const char *name, int width) {
    int count = 0;
    *out_bytes = 0;
    while (*name != '\0' && count < width) {
        size_t length = clv_utf8_length(name);
        unsigned char byte = (unsigned char)*name;
        bool is_c1 = byte == 0xc2 && (unsigned char)name[1] < 0xa0;
        if (length == 0 || byte < 0x20 || byte == 0x7f || is_c1) {
            out[(*out_bytes)++] = '?';
            length = length == 0 ? 1 : length;
        } else {
            memcpy(out + *out_bytes, name, length);
            *out_bytes += length;
        }
        name += length;
        count++;
    }
    return count;
}

static int add_name(clv_text *text, const char *name, int width) {
    char buffer[4 * 128];
    size_t bytes;
    int count = put_name(buffer, &bytes, name, width < 128 ? width : 128);
    clv_text_add_bytes(text, buffer, bytes);
    return count;
}

static int name_width(const char *name) {
    char buffer[4 * 128];
    size_t bytes;
    return put_name(buffer, &bytes, name, 128);
}

/* Fills a column of this width. */
static void add_short(clv_text *text, const char *name, int width) {
    clv_text shorter;
    clv_text_init(&shorter);
    clv_picture_add_short(&shorter, name, width);
    int count = add_name(text, shorter.data != NULL ? shorter.data : "", width);
    clv_text_add(text, "%*s", width - count, "");
    text->failed = text->failed || shorter.failed;
    clv_text_deinit(&shorter);
}

/* --- head --- */

static void add_line(gantt *g, const char *what, const char *value, const char *format, ...)
    CLV_PRINTF(4, 5);

static void add_line(gantt *g, const char *what, const char *value, const char *format, ...) {
    va_list args;
    clv_text_add(g->text, "%-9s %s", what, value);
    va_start(args, format);
    clv_text_addv(g->text, format, args);
    va_end(args);
    clv_text_add(g->text, "\n");
}

static void add_head(gantt *g, const clv_picture_layer *layer) {
    const clv_timeline *t = layer->timeline;
    const clv_schedule *s = g->picture->schedule;
    char time[CLV_PICTURE_NUMBER], other[CLV_PICTURE_NUMBER], share[CLV_PICTURE_NUMBER];
    if (g->picture->num_layers > 1) {
        clv_text_add(g->text, "%s:\n", layer->name);
    }
    clv_picture_time(time, t->makespan_us);
    add_line(
        g, "makespan", time, " for %u request%s", s->num_requests, s->num_requests == 1 ? "" : "s");
    clv_picture_time(time, t->bounds.best_us);
    clv_picture_percent(share, t->distance);
    add_line(g, "bound", time, " (%s); the makespan is %s above it", t->bounds.where, share);
    clv_picture_time(time, t->period_us);
    clv_picture_rate(other, t->throughput_per_s);
    add_line(g, "period", time, ", %s requests a second", other);
    clv_picture_time(time, t->latency_us);
    clv_picture_time(other, t->max_latency_us);
    add_line(g, "latency", time, " of the first request, %s at most", other);
}

/* --- rows --- */

static void add_axis(gantt *g) {
    char line[COLUMNS + CLV_PICTURE_NUMBER];
    clv_picture_axis axis = clv_picture_make_axis(g->picture->end_us, 8);
    memset(line, ' ', sizeof line);
    size_t end = 0;
    for (uint32_t i = 0; i <= axis.num_steps; i++) {
        char mark[CLV_PICTURE_NUMBER];
        double time_us = i * axis.step_us;
        clv_format(mark, sizeof mark, "%.10g", time_us / axis.unit_us);
        size_t column =
            g->picture->end_us > 0 ? (size_t)(time_us / g->picture->end_us * COLUMNS + 0.5) : 0;
        size_t length = strlen(mark);
        if (column >= end && column + length < sizeof line) {
            memcpy(line + column, mark, length);
            end = column + length + 1;
        }
    }
    clv_text_add(g->text, "%*s  busy  %.*s%s\n", g->label_width, "", (int)end, line, axis.unit);
}

static int column_of(const gantt *g, double time_us) {
    double end_us = g->picture->end_us;
    return end_us > 0 ? (int)fmin(COLUMNS, time_us / end_us * COLUMNS + 0.5) : 0;
}

/* A cell is a character of a name, so it may take four bytes. */
typedef struct cells {
    char text[COLUMNS][4];
    uint8_t bytes[COLUMNS];
} cells;

static void set_cell(cells *c, int column, const char *bytes, size_t length) {
    memcpy(c->text[column], bytes, length);
    c->bytes[column] = (uint8_t)length;
}

static int put_cells(cells *c, int begin, int end, const char *name) {
    char buffer[4 * COLUMNS];
    size_t bytes, at = 0;
    int count = put_name(buffer, &bytes, name, end - begin);
    for (int i = 0; i < count; i++) {
        size_t length = clv_utf8_length(buffer + at);
        set_cell(c, begin + i, buffer + at, length);
        at += length;
    }
    return begin + count;
}

/* "|conv1 0--": its beginning, its name, its request, as far as there is room. */
static void put_span(
    const gantt *g, const clv_picture_layer *layer, const clv_span *span, cells *c) {
    const clv_schedule_step *step = clv_picture_step(layer, span);
    bool is_critical = layer->is_critical[span->step];
    int begin = column_of(g, span->start_us), end = column_of(g, span->end_us);
    if (begin >= end) {
        return;
    }
    char request[CLV_PICTURE_NUMBER] = "";
    if (g->picture->schedule->num_requests > 1) {
        clv_format(request, sizeof request, "%u", step->request);
    }
    set_cell(c, begin, is_critical ? "*" : "|", 1);
    char fill = clv_picture_is_send(step) ? '~' : is_critical ? '*' : '-';
    for (int i = begin + 1; i < end; i++) {
        set_cell(c, i, &fill, 1);
    }
    int room = end - begin - 1, digits = (int)strlen(request);
    const char *name = clv_picture_step_name(g->picture, step);
    int at = begin + 1, beside = digits > 0 ? digits + 1 : 0;
    if (room >= beside + 2 && room > 2) {
        at = put_cells(c, at, end - beside, name);
        if (digits > 0) {
            set_cell(c, at, " ", 1);
            at++;
        }
    }
    if (digits > 0 && end - at >= digits) {
        put_cells(c, at, end, request);
    }
}

/* Tenths of each column that spans cover. */
static void put_density(
    const gantt *g, const clv_picture_layer *layer, const clv_timeline_row *row, uint8_t lane,
    cells *c) {
    double covered[COLUMNS] = {0}, column_us = g->picture->end_us / COLUMNS;
    for (uint64_t i = row->first_span; i < row->first_span + row->num_spans; i++) {
        const clv_span *span = &layer->timeline->spans[i];
        if (layer->lane[i] != lane) {
            continue;
        }
        int column = (int)fmin(COLUMNS - 1, span->start_us / column_us);
        for (; column < COLUMNS && column * column_us < span->end_us; column++) {
            covered[column] += fmin(span->end_us, (column + 1) * column_us) -
                               fmax(span->start_us, column * column_us);
        }
    }
    for (int i = 0; i < COLUMNS; i++) {
        double tenths = covered[i] / column_us * 10;
        char cell = tenths < 0.5 ? '.' : tenths >= 9.5 ? '#' : (char)('0' + (int)(tenths + 0.5));
        set_cell(c, i, &cell, 1);
    }
}

/* Whether most spans of a row are too short to be seen one by one. */
static bool is_dense(const gantt *g, const clv_picture_layer *layer, const clv_timeline_row *row) {
    uint64_t num_short = 0;
    for (uint64_t i = row->first_span; i < row->first_span + row->num_spans; i++) {
        const clv_span *span = &layer->timeline->spans[i];
        num_short += column_of(g, span->end_us) - column_of(g, span->start_us) < 3;
    }
    return row->num_spans > 4 && num_short * 2 > row->num_spans;
}

static void add_row(
    gantt *g, const clv_picture_layer *layer, const clv_timeline_row *row, const char *label) {
    bool dense = is_dense(g, layer, row);
    uint8_t num_lanes = 1;
    for (uint64_t i = row->first_span; i < row->first_span + row->num_spans; i++) {
        num_lanes = layer->lane[i] >= num_lanes ? layer->lane[i] + 1 : num_lanes;
    }
    for (uint8_t lane = 0; lane < num_lanes; lane++) {
        cells c;
        for (int i = 0; i < COLUMNS; i++) {
            set_cell(&c, i, ".", 1);
        }
        if (dense) {
            put_density(g, layer, row, lane, &c);
        }
        for (uint64_t i = row->first_span; !dense && i < row->first_span + row->num_spans; i++) {
            if (layer->lane[i] == lane) {
                put_span(g, layer, &layer->timeline->spans[i], &c);
            }
        }
        char busy[CLV_PICTURE_NUMBER] = "";
        if (lane == 0) {
            clv_picture_percent(busy, row->busy);
        }
        add_short(g->text, lane == 0 ? label : "", g->label_width);
        clv_text_add(g->text, " %5s  ", busy);
        for (int i = 0; i < COLUMNS; i++) {
            clv_text_add_bytes(g->text, c.text[i], c.bytes[i]);
        }
        clv_text_add(g->text, "\n");
    }
}

static void add_rows(gantt *g) {
    const clv_picture *p = g->picture;
    for (uint32_t i = 0; i < p->num_rows && i < MAX_ROWS; i++) {
        for (uint32_t l = 0; l < p->num_layers; l++) {
            if (p->rows[i].of_layer[l] != NULL) {
                add_row(
                    g, &p->layers[l], p->rows[i].of_layer[l],
                    l == 0 ? p->rows[i].label : "  measured");
            }
        }
    }
    if (p->num_rows > MAX_ROWS) {
        double busy = 0;
        for (uint32_t i = MAX_ROWS; i < p->num_rows; i++) {
            busy += p->rows[i].of_layer[0] != NULL ? p->rows[i].of_layer[0]->busy : 0;
        }
        char share[CLV_PICTURE_NUMBER];
        clv_picture_percent(share, busy / (p->num_rows - MAX_ROWS));
        clv_text_add(
            g->text, "... and %u more units and links, busy %s in the mean\n",
            p->num_rows - MAX_ROWS, share);
    }
    if (p->num_hidden_units > 0) {
        clv_text_add(g->text, "... and %u units that have nothing to do\n", p->num_hidden_units);
    }
    clv_text_add(
        g->text,
        "\n|name request---: a step; ~ a transfer; * on the critical path; . idle; digits: "
        "tenths of a column busy, # all of it\n");
}

/* --- needs --- */

static void add_needs(gantt *g) {
    const clv_picture *p = g->picture;
    const clv_timeline *t = p->layers[0].timeline;
    char bytes[CLV_PICTURE_NUMBER];
    clv_picture_bytes(bytes, (double)t->buffer_bytes);
    clv_text_add(
        g->text, "\nneeds: %u unit%s, %u output buffer%s that hold %s\n\n", t->units_used,
        t->units_used == 1 ? "" : "s", t->buffers, t->buffers == 1 ? "" : "s", bytes);
    clv_text_add(
        g->text, "%-*s  %6s %11s %9s %8s %9s %12s\n", g->label_width, "unit or link", "busy",
        "time", "steps", "buffers", "bytes", "critical");
    for (uint32_t i = 0; i < p->num_rows && i < MAX_ROWS; i++) {
        const clv_picture_row *row = &p->rows[i];
        const clv_timeline_row *r = row->of_layer[0];
        char busy[CLV_PICTURE_NUMBER], time[CLV_PICTURE_NUMBER], critical[CLV_PICTURE_NUMBER];
        char buffers[CLV_PICTURE_NUMBER] = "-";
        if (r == NULL) {
            continue;
        }
        clv_picture_percent(busy, r->busy);
        clv_picture_time(time, r->busy_us);
        clv_picture_bytes(bytes, (double)row->bytes);
        clv_picture_percent(critical, t->makespan_us > 0 ? row->critical_us / t->makespan_us : 0);
        if (row->is_unit) {
            clv_format(buffers, sizeof buffers, "%u", r->buffers);
        }
        add_short(g->text, row->label, g->label_width);
        clv_text_add(
            g->text, "  %6s %11s %9llu %8s %9s %12s\n", busy, time,
            (unsigned long long)r->num_spans, buffers, bytes, critical);
    }
}

/* A name is anything, also a unit's. */
static void add_text(gantt *g, const clv_text *line) {
    g->text->failed = g->text->failed || line->failed;
    if (line->data != NULL && line->length > 0) {
        for (const char *at = line->data; *at != '\0';) {
            const size_t before = g->text->length;
            add_name(g->text, at, 100);
            for (int count = 0; count < 100 && *at != '\0'; count++) {
                const size_t length = clv_utf8_length(at);
                at += length > 0 ? length : 1;
            }
            if (g->text->length == before) {
                break; /* no memory */
            }
        }
        clv_text_add(g->text, "\n");
    }
}

/* Where the time went of what was measured. */
static void add_accounts(gantt *g) {
    const clv_report *report = g->picture->report;
    if (report->accounts == NULL) {
        return;
    }
    char time[CLV_PICTURE_NUMBER];
    clv_text line;
    clv_picture_time(time, report->accounts->wall_us);
    clv_text_add(g->text, "\nmeasured, of %s:\n", time);
    for (uint32_t u = 0; u < report->accounts->num_units && u < MAX_ROWS; u++) {
        clv_text_init(&line);
        clv_picture_add_account(g->picture, u, &line);
        add_text(g, &line);
        clv_text_deinit(&line);
    }
    clv_text_init(&line);
    clv_picture_add_clocks(g->picture, &line);
    add_text(g, &line);
    clv_text_deinit(&line);
}

/* Predicted and measured times of operators. */
static void add_errors(gantt *g) {
    const clv_report *report = g->picture->report;
    const clv_picture *p = g->picture;
    if (report->num_errors == 0) {
        return;
    }
    clv_text_add(
        g->text, "\n%-*s  %-*s %11s %11s %8s\n", MAX_LABEL, "operator", g->label_width, "unit",
        "predicted", "measured", "above");
    for (size_t i = 0; i < report->num_errors && i < MAX_ERRORS; i++) {
        const clv_step_error *e = &report->errors[i];
        char predicted[CLV_PICTURE_NUMBER], measured[CLV_PICTURE_NUMBER];
        clv_picture_time(predicted, e->predicted_us);
        clv_picture_time(measured, e->measured_us);
        add_short(g->text, p->workload->tasks[e->task].name, MAX_LABEL);
        clv_text_add(g->text, "  ");
        add_short(g->text, p->machine->units[e->unit].name, g->label_width);
        clv_text_add(g->text, " %11s %11s", predicted, measured);
        if (e->measured_us > 0) {
            clv_text_add(g->text, " %+6.1f %%", 100 * (e->predicted_us / e->measured_us - 1));
        }
        clv_text_add(g->text, "\n");
    }
    if (report->num_errors > MAX_ERRORS) {
        clv_text_add(
            g->text, "... and %llu more\n", (unsigned long long)(report->num_errors - MAX_ERRORS));
    }
}

static void add_path(gantt *g, const clv_picture_layer *layer) {
    const clv_critical_path *path = layer->path;
    static const char *const texts[CLV_NUM_CAUSES] = {
        "begin with the run", "wait for what they need", "wait for a free buffer",
        "wait for their unit or link", "wait to be let in"};
    char time[CLV_PICTURE_NUMBER];
    clv_picture_time(time, path->busy_us);
    clv_text_add(
        g->text, "\ncritical path%s%s: %s in %llu step%s", layer->name[0] != '\0' ? ", " : "",
        layer->name, time, (unsigned long long)path->num_steps, path->num_steps == 1 ? "" : "s");
    if (path->idle_us > g->picture->end_us * 1e-6) {
        clv_picture_time(time, path->idle_us);
        clv_text_add(g->text, ", %s between them", time);
    }
    const char *before = ", of which ";
    for (int i = 1; i < CLV_NUM_CAUSES; i++) {
        if (path->num_causes[i] > 0) {
            clv_text_add(
                g->text, "%s%llu %s", before, (unsigned long long)path->num_causes[i], texts[i]);
            before = ", ";
        }
    }
    clv_text_add(g->text, "\n");
}

clv_status *clv_report_gantt(const clv_report *report, char **out_text) {
    clv_picture *picture;
    clv_text text;
    *out_text = NULL;
    CLV_TRY(clv_picture_create(report, &picture));
    clv_text_init(&text);
    gantt g = {.picture = picture, .text = &text, .label_width = 12};
    for (uint32_t i = 0; i < picture->num_rows && i < MAX_ROWS; i++) {
        int width = name_width(picture->rows[i].label);
        g.label_width = width > g.label_width ? width : g.label_width;
    }
    g.label_width = g.label_width < MAX_LABEL ? g.label_width : MAX_LABEL;
    add_name(&text, picture->title, 100);
    clv_text_add(&text, ": ");
    add_name(&text, report->schedule->plan->policy, 60);
    clv_text_add(
        &text, "%s%s\n", report->mode != NULL ? ", " : "",
        report->mode != NULL ? report->mode : "");
    for (uint32_t l = 0; l < picture->num_layers; l++) {
        add_head(&g, &picture->layers[l]);
    }
    clv_text_add(&text, "\n");
    add_axis(&g);
    add_rows(&g);
    add_needs(&g);
    for (uint32_t l = 0; l < picture->num_layers; l++) {
        add_path(&g, &picture->layers[l]);
    }
    add_accounts(&g);
    add_errors(&g);
    clv_picture_destroy(picture);
    return clv_text_take(&text, out_text);
}
