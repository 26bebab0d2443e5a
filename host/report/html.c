/* The page of a timeline: viewer.html with the data put into it, as JSON. The script there says how
 * it reads them. */
#include "host/report/picture.h"

#include "host/base/memory.h"
#include "host/base/name_map.h"

#include <math.h>
#include <string.h>

extern const unsigned char clv_embedded_viewer[];

enum {
    MAX_SPANS = 60000, /* that are kept one by one; about 40 bytes each */
    MAX_BINS = 500000, /* of all rows together; three bytes each */
    MAX_ROW_BINS = 8192,
    MIN_ROW_BINS = 64,
    MAX_ROWS = 4096,
    MAX_ERRORS = 1000, /* operators that are listed with prediction and measurement */
    FLAG_SEND = 1,
    FLAG_CRITICAL = 2,
    LANE_SHIFT = 2
};

/* What steps of many requests and copies have in common: the page keeps it once. */
typedef struct what {
    uint32_t name, type, reason; /* CLV_NO_INDEX: none */
    uint64_t bytes;
    double alone_us;
} what;

typedef struct page {
    const clv_picture *picture;
    clv_text *text;
    what *whats;
    size_t num_whats, capacity_whats;
    uint32_t *slots; /* of a hash table of them: index + 1; 0: free */
    size_t num_slots;
    clv_name_map reasons;
    uint32_t num_rows, num_bins;
    bool is_summary; /* the spans are too many to keep each */
    clv_picture_window windows[CLV_PICTURE_LAYERS][CLV_PICTURE_WINDOWS];
} page;

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a page")

/* --- what steps are --- */

static uint64_t mix(uint64_t hash, uint64_t value) {
    return (hash ^ value) * 0x9e3779b97f4a7c15u ^ (hash >> 29);
}

static size_t hash_what(const what *w) {
    uint64_t bits, hash = 1;
    memcpy(&bits, &w->alone_us, sizeof bits);
    hash = mix(mix(mix(hash, w->name), w->reason), w->bytes);
    return (size_t)(mix(hash, bits) >> 20);
}

static bool same_what(const what *a, const what *b) {
    return a->name == b->name && a->type == b->type && a->reason == b->reason &&
           a->bytes == b->bytes && a->alone_us == b->alone_us;
}

static bool grow_slots(page *p) {
    size_t count = p->num_slots > 0 ? 2 * p->num_slots : 1024;
    uint32_t *slots = clv_alloc_zeroed(count, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < p->num_whats; i++) {
        size_t at = hash_what(&p->whats[i]) % count;
        while (slots[at] != 0) {
            at = (at + 1) % count;
        }
        slots[at] = (uint32_t)i + 1;
    }
    clv_free(p->slots);
    p->slots = slots;
    p->num_slots = count;
    return true;
}

static bool find_reason(page *p, const char *reason, uint32_t *out_index) {
    const uint32_t *known = reason != NULL ? clv_name_map_find(&p->reasons, reason) : NULL;
    *out_index = known != NULL ? *known : CLV_NO_INDEX;
    if (reason == NULL || known != NULL) {
        return true;
    }
    *out_index = (uint32_t)p->reasons.count;
    return clv_name_map_set(&p->reasons, reason, *out_index);
}

static clv_status *find_what(
    page *p, const clv_picture_layer *layer, uint32_t step_index, uint32_t *out_index) {
    const clv_picture *picture = p->picture;
    const clv_schedule_step *step = &layer->schedule->steps[step_index];
    bool is_send = clv_picture_is_send(step);
    what w = {
        .name = is_send ? picture->workload->num_tasks + step->tensor : step->task,
        .type = is_send ? CLV_NO_INDEX : picture->type_of_task[step->task],
        .bytes = step->bytes,
        .alone_us = step->duration_us};
    if (!find_reason(p, clv_picture_step_reason(layer, step), &w.reason) ||
        (2 * p->num_whats >= p->num_slots && !grow_slots(p))) {
        return NO_MEMORY_HERE();
    }
    size_t at = hash_what(&w) % p->num_slots;
    while (p->slots[at] != 0 && !same_what(&p->whats[p->slots[at] - 1], &w)) {
        at = (at + 1) % p->num_slots;
    }
    if (p->slots[at] == 0) {
        if (!clv_array_reserve(
                (void **)&p->whats, &p->capacity_whats, p->num_whats + 1, sizeof w)) {
            return NO_MEMORY_HERE();
        }
        p->whats[p->num_whats++] = w;
        p->slots[at] = (uint32_t)p->num_whats;
    }
    *out_index = p->slots[at] - 1;
    return NULL;
}

/* --- rows --- */

static bool is_kept(const page *p, uint32_t l, const clv_span *span) {
    return !p->is_summary || clv_picture_is_in_window(p->windows[l], span);
}

/* start, duration, what, request, flags, buffer + 1, cause, its what, its request */
static clv_status *add_span(page *p, const clv_picture_layer *layer, uint64_t index) {
    const clv_span *span = &layer->timeline->spans[index];
    const clv_schedule *s = layer->schedule;
    const clv_schedule_step *step = &s->steps[span->step];
    const clv_cause *cause = &layer->path->causes[span->step];
    uint32_t of_step, of_cause = 0, cause_request = 0;
    CLV_TRY(find_what(p, layer, span->step, &of_step));
    if (cause->before != CLV_NO_INDEX) {
        CLV_TRY(find_what(p, layer, cause->before, &of_cause));
        cause_request = s->steps[cause->before].request;
    }
    int flags = (clv_picture_is_send(step) ? FLAG_SEND : 0) +
                (layer->is_critical[span->step] ? FLAG_CRITICAL : 0) +
                (layer->lane[index] << LANE_SHIFT);
    clv_text_add(
        p->text, "%.9g,%.7g,%u,%u,%d,%u,%d,%u,%u", span->start_us, span->end_us - span->start_us,
        of_step, step->request, flags, span->slot != CLV_NO_INDEX ? span->slot + 1 : 0, cause->kind,
        of_cause, cause_request);
    return NULL;
}

static void add_base64(clv_text *text, const double *shares, uint32_t count) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (uint32_t i = 0; i < count; i += 3) {
        uint32_t bits = 0;
        for (uint32_t k = 0; k < 3; k++) {
            double share = i + k < count ? fmin(1, shares[i + k]) : 0;
            bits = bits << 8 | (uint32_t)(share * 255 + 0.5);
        }
        char four[4] = {
            digits[bits >> 18], digits[bits >> 12 & 63], digits[bits >> 6 & 63], digits[bits & 63]};
        for (uint32_t k = count - i < 3 ? count - i + 1 : 4; k < 4; k++) {
            four[k] = '=';
        }
        clv_text_add_bytes(text, four, 4);
    }
}

static clv_status *add_bins(page *p, const clv_picture_layer *layer, const clv_timeline_row *row) {
    double bin_us = p->picture->end_us / p->num_bins;
    double *covered = clv_alloc_zeroed(2 * (size_t)p->num_bins, sizeof *covered);
    if (covered == NULL) {
        return NO_MEMORY_HERE();
    }
    clv_picture_cover(layer, row, bin_us, p->num_bins, covered);
    clv_text_add(p->text, ",\"covered\":\"");
    add_base64(p->text, covered, p->num_bins);
    clv_text_add(p->text, "\",\"critical\":\"");
    add_base64(p->text, covered + p->num_bins, p->num_bins);
    clv_text_add(p->text, "\"");
    clv_free(covered);
    return NULL;
}

static clv_status *add_row_layer(page *p, const clv_picture_row *row, uint32_t l) {
    const clv_picture_layer *layer = &p->picture->layers[l];
    const clv_timeline_row *r = row->of_layer[l];
    const char *comma = "";
    if (r == NULL) {
        clv_text_add(p->text, "null");
        return NULL;
    }
    clv_text_add(p->text, "{\"busy\":%.6g,\"busyUs\":%.9g,\"spans\":[", r->busy, r->busy_us);
    for (uint64_t i = r->first_span; i < r->first_span + r->num_spans; i++) {
        if (is_kept(p, l, &layer->timeline->spans[i])) {
            clv_text_add(p->text, "%s", comma);
            comma = ",";
            CLV_TRY(add_span(p, layer, i));
        }
    }
    clv_text_add(p->text, "]");
    if (p->is_summary) {
        CLV_TRY(add_bins(p, layer, r));
    }
    clv_text_add(p->text, "}");
    return NULL;
}

static clv_status *add_row(page *p, const clv_picture_row *row) {
    const clv_timeline_row *r = row->of_layer[0];
    double makespan_us = p->picture->layers[0].timeline->makespan_us;
    clv_text_add(p->text, "{\"label\":");
    clv_text_add_json(p->text, row->label);
    clv_text_add(
        p->text,
        ",\"unit\":%s,\"lanes\":%u,\"busy\":%.6g,\"busyUs\":%.9g,\"steps\":%llu,"
        "\"buffers\":%u,\"bytes\":%llu,\"critical\":%.6g,\"layers\":[",
        row->is_unit ? "true" : "false", row->num_lanes, r != NULL ? r->busy : 0,
        r != NULL ? r->busy_us : 0, r != NULL ? (unsigned long long)r->num_spans : 0,
        r != NULL ? r->buffers : 0, (unsigned long long)row->bytes,
        makespan_us > 0 ? row->critical_us / makespan_us : 0);
    for (uint32_t l = 0; l < p->picture->num_layers; l++) {
        clv_text_add(p->text, l > 0 ? "," : "");
        CLV_TRY(add_row_layer(p, row, l));
    }
    clv_text_add(p->text, "]}");
    return NULL;
}

/* --- the rest --- */

static void add_head(page *p) {
    clv_picture_fact facts[CLV_PICTURE_FACTS];
    const clv_picture *picture = p->picture;
    clv_text subtitle;
    clv_text_init(&subtitle);
    clv_picture_add_subtitle(picture, &subtitle);
    clv_text_add(p->text, "{\"title\":");
    clv_text_add_json(p->text, picture->title);
    clv_text_add(p->text, ",\"subtitle\":");
    clv_text_add_json(p->text, subtitle.data != NULL ? subtitle.data : "");
    p->text->failed = p->text->failed || subtitle.failed;
    clv_text_deinit(&subtitle);
    clv_text_add(
        p->text, ",\n\"requests\":%u,\"end\":%.12g,\"hidden\":%u,\"more\":%u,\n\"facts\":[",
        picture->schedule->num_requests, picture->end_us, picture->num_hidden_units,
        picture->num_rows - p->num_rows);
    clv_picture_get_facts(picture, facts);
    for (int i = 0; i < CLV_PICTURE_FACTS; i++) {
        clv_text_add(p->text, "%s[\"%s\",\"%s\",", i > 0 ? "," : "", facts[i].what, facts[i].value);
        clv_text_add_json(p->text, facts[i].more);
        clv_text_add(p->text, "]");
    }
    clv_text_add(p->text, "]");
}

static void add_names(page *p) {
    const clv_workload *workload = p->picture->workload;
    clv_text_add(p->text, ",\n\"names\":[");
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        clv_text_add(p->text, "%s", i > 0 ? "," : "");
        clv_text_add_json(p->text, workload->tasks[i].name);
    }
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        clv_text_add(p->text, ",");
        clv_text_add_json(p->text, workload->tensors[i].name);
    }
    clv_text_add(p->text, "],\n\"types\":[");
    for (uint32_t i = 0; i < p->picture->num_types; i++) {
        clv_text_add(p->text, "%s", i > 0 ? "," : "");
        clv_text_add_json(p->text, p->picture->types[i]);
    }
    clv_text_add(p->text, "],\n\"colours\":[");
    for (int i = 0; i < CLV_PICTURE_COLOURS; i++) {
        clv_text_add(p->text, "%s\"%s\"", i > 0 ? "," : "", clv_picture_colours[i]);
    }
    clv_text_add(
        p->text, "],\"transfer\":\"%s\",\"density\":\"%s\"", CLV_PICTURE_TRANSFER,
        CLV_PICTURE_DENSITY);
}

static void add_layers(page *p) {
    clv_text_add(p->text, ",\n\"layers\":[");
    for (uint32_t l = 0; l < p->picture->num_layers; l++) {
        const clv_picture_window *w = p->windows[l];
        clv_text_add(p->text, "%s{\"name\":\"%s\"", l > 0 ? "," : "", p->picture->layers[l].name);
        for (int i = 0; p->is_summary && i < CLV_PICTURE_WINDOWS; i++) {
            clv_text_add(
                p->text, "%s[%.12g,%.12g]", i == 0 ? ",\"windows\":[" : ",", w[i].begin_us,
                w[i].end_us);
        }
        clv_text_add(p->text, "%s}", p->is_summary ? "]" : "");
    }
    clv_text_add(p->text, "]");
}

/* --- where the time went --- */

static void add_account(page *p, const clv_accounts *accounts, uint32_t unit) {
    const clv_account *a = &accounts->units[unit];
    const clv_unit *units = p->picture->machine->units;
    const clv_record_clock *clocks = p->picture->report->clocks;
    const char *comma = "";
    clv_text_add(p->text, "%s\n{\"unit\":", unit > 0 ? "," : "");
    clv_text_add_json(p->text, units[unit].name);
    clv_text_add(
        p->text, ",\"parts\":[%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g],\"hidden\":%.9g,\"waits\":[",
        a->busy_us, a->transfer_us, a->data_us, a->buffer_us, a->place_us, a->overhead_us,
        a->idle_us, a->hidden_us);
    for (uint32_t v = 0; v < accounts->num_units; v++) {
        const size_t pair = (size_t)unit * accounts->num_units + v;
        if (accounts->data_us[pair] + accounts->buffer_us[pair] > 0) {
            clv_text_add(p->text, "%s[", comma);
            comma = ",";
            clv_text_add_json(p->text, units[v].name);
            clv_text_add(
                p->text, ",%.9g,%.9g]", accounts->data_us[pair], accounts->buffer_us[pair]);
        }
    }
    clv_text_add(p->text, "]");
    if (clocks != NULL && clocks[unit].is_known) {
        clv_text_add(p->text, ",\"clock\":%.6g", clocks[unit].uncertainty_us);
    }
    clv_text_add(p->text, "}");
}

static void add_measured(page *p) {
    const clv_report *report = p->picture->report;
    if (report->accounts == NULL) {
        return;
    }
    clv_text_add(
        p->text, ",\n\"wall\":%.12g,\"clamped\":%llu,\"accounts\":[", report->accounts->wall_us,
        (unsigned long long)report->num_clamped);
    for (uint32_t u = 0; u < report->accounts->num_units && u < MAX_ROWS; u++) {
        add_account(p, report->accounts, u);
    }
    clv_text_add(p->text, "],\n\"errors\":[");
    for (size_t i = 0; i < report->num_errors && i < MAX_ERRORS; i++) {
        const clv_step_error *e = &report->errors[i];
        clv_text_add(p->text, "%s[%u,", i > 0 ? "," : "", e->task);
        clv_text_add_json(p->text, p->picture->machine->units[e->unit].name);
        clv_text_add(p->text, ",%.9g,%.9g]", e->predicted_us, e->measured_us);
    }
    clv_text_add(p->text, "]");
}

static int or_minus_one(uint32_t index) {
    return index != CLV_NO_INDEX ? (int)index : -1;
}

static clv_status *add_whats(page *p) {
    const clv_schedule *s = p->picture->schedule;
    clv_text_add(p->text, ",\n\"what\":[");
    for (size_t i = 0; i < p->num_whats; i++) {
        const what *w = &p->whats[i];
        clv_text_add(
            p->text, "%s{\"name\":%u,\"type\":%d,\"reason\":%d,\"bytes\":%llu,\"alone\":%.9g}",
            i > 0 ? ",\n" : "", w->name, or_minus_one(w->type), or_minus_one(w->reason),
            (unsigned long long)w->bytes, w->alone_us);
    }
    clv_text_add(p->text, "],\n\"reasons\":[");
    const char **reasons = clv_alloc_zeroed(p->reasons.count + 1, sizeof *reasons);
    if (reasons == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t g = 0; g < s->num_groups; g++) {
        for (uint32_t t = 0; t < p->picture->workload->num_tasks; t++) {
            const char *reason = s->plan->groups[g].placements[t].reason;
            const uint32_t *index = reason != NULL ? clv_name_map_find(&p->reasons, reason) : NULL;
            if (index != NULL) {
                reasons[*index] = reason;
            }
        }
    }
    for (size_t i = 0; i < p->reasons.count; i++) {
        clv_text_add(p->text, "%s", i > 0 ? "," : "");
        clv_text_add_json(p->text, reasons[i]);
    }
    clv_text_add(p->text, "]");
    clv_free(reasons);
    return NULL;
}

static clv_status *add_data(page *p) {
    const clv_picture *picture = p->picture;
    uint64_t num_spans = 0;
    p->num_rows = picture->num_rows < MAX_ROWS ? picture->num_rows : MAX_ROWS;
    for (uint32_t l = 0; l < picture->num_layers; l++) {
        num_spans += picture->layers[l].timeline->num_spans;
        clv_picture_choose_windows(
            &picture->layers[l], MAX_SPANS / picture->num_layers, p->windows[l]);
    }
    p->is_summary = num_spans > MAX_SPANS;
    p->num_bins = MAX_ROW_BINS;
    while (p->num_bins > MIN_ROW_BINS &&
           (uint64_t)p->num_bins * p->num_rows * picture->num_layers > MAX_BINS) {
        p->num_bins /= 2;
    }
    add_head(p);
    add_names(p);
    add_layers(p);
    clv_text_add(p->text, ",\n\"rows\":[");
    for (uint32_t i = 0; i < p->num_rows; i++) {
        clv_text_add(p->text, "%s\n", i > 0 ? "," : "");
        CLV_TRY(add_row(p, &picture->rows[i]));
    }
    clv_text_add(p->text, "]");
    CLV_TRY(add_whats(p));
    add_measured(p);
    clv_text_add(p->text, "}");
    return NULL;
}

/* Inside a script element only '<' means something; in JSON it stands in strings alone. */
static void add_script(clv_text *text, const clv_text *json) {
    size_t from = 0;
    for (size_t i = 0; i < json->length; i++) {
        if (json->data[i] == '<') {
            clv_text_add_bytes(text, json->data + from, i - from);
            clv_text_add_bytes(text, "\\u003c", 6);
            from = i + 1;
        }
    }
    clv_text_add_bytes(text, json->data + from, json->length - from);
}

clv_status *clv_report_html(const clv_report *report, char **out_text) {
    static const char mark[] = "@DATA@";
    const char *viewer = (const char *)clv_embedded_viewer, *at = strstr(viewer, mark);
    clv_picture *picture;
    clv_text json, text;
    *out_text = NULL;
    CLV_TRY(clv_picture_create(report, &picture));
    clv_text_init(&json);
    clv_text_init(&text);
    page p = {.picture = picture, .text = &json};
    clv_name_map_init(&p.reasons);
    clv_status *status = add_data(&p);
    if (status == NULL && json.failed) {
        status = NO_MEMORY_HERE();
    }
    if (status == NULL) {
        clv_text_add_bytes(&text, viewer, (size_t)(at - viewer));
        add_script(&text, &json);
        clv_text_add_bytes(&text, at + strlen(mark), strlen(at + strlen(mark)));
        status = clv_text_take(&text, out_text);
    }
    clv_name_map_deinit(&p.reasons);
    clv_free(p.whats);
    clv_free(p.slots);
    clv_text_deinit(&json);
    clv_text_deinit(&text);
    clv_picture_destroy(picture);
    return status;
}
