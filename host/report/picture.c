#include "host/report/picture.h"

#include "host/base/memory.h"
#include "host/base/name_map.h"
#include "host/base/utf8.h"

#include <math.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a picture")

/* Machines with more units than this show the ones that do something. */
enum { MAX_IDLE_ROWS = 32 };

void clv_picture_destroy(clv_picture *picture) {
    if (picture == NULL) {
        return;
    }
    for (uint32_t i = 0; i < CLV_PICTURE_LAYERS; i++) {
        clv_critical_path_destroy(picture->layers[i].path);
        clv_free(picture->layers[i].is_critical);
        clv_free(picture->layers[i].lane);
    }
    clv_free(picture->rows);
    clv_free(picture->types);
    clv_free(picture->type_of_task);
    clv_arena_deinit(&picture->arena);
    clv_free(picture);
}

/* --- layers --- */

/* The first lane that is free; the last one where none is. */
static uint8_t find_lane(const double *end_us, double start_us) {
    uint8_t lane = 0;
    while (lane + 1 < CLV_PICTURE_LANES && end_us[lane] > start_us) {
        lane++;
    }
    return lane;
}

static clv_status *fill_lanes(clv_picture_layer *layer) {
    const clv_timeline *t = layer->timeline;
    double slack_us = t->makespan_us * 1e-9;
    layer->lane = clv_alloc_zeroed((size_t)t->num_spans + 1, sizeof *layer->lane);
    if (layer->lane == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t r = 0; r < t->num_rows; r++) {
        double end_us[CLV_PICTURE_LANES] = {0};
        uint64_t first = t->rows[r].first_span;
        for (uint64_t i = first; i < first + t->rows[r].num_spans; i++) {
            uint8_t lane = find_lane(end_us, t->spans[i].start_us + slack_us);
            end_us[lane] = fmax(end_us[lane], t->spans[i].end_us);
            layer->lane[i] = lane;
        }
    }
    return NULL;
}

static clv_status *add_layer(
    clv_picture *p, const char *name, const clv_schedule *schedule, const clv_run *run,
    const clv_timeline *timeline) {
    clv_picture_layer *layer = &p->layers[p->num_layers++];
    layer->name = name;
    layer->schedule = schedule;
    layer->run = run != NULL ? run : schedule->predicted;
    layer->timeline = timeline;
    p->end_us = fmax(p->end_us, timeline->makespan_us);
    CLV_TRY(clv_critical_path_create(schedule, layer->run, &layer->path));
    layer->is_critical =
        clv_alloc_zeroed((size_t)schedule->num_steps + 1, sizeof *layer->is_critical);
    if (layer->is_critical == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint64_t i = 0; i < layer->path->num_steps; i++) {
        layer->is_critical[layer->path->steps[i]] = true;
    }
    return fill_lanes(layer);
}

/* --- rows --- */

static const char *make_label(clv_picture *p, uint32_t resource) {
    const clv_machine *m = p->machine;
    if (resource < m->num_units) {
        return m->units[resource].name;
    }
    const clv_link *link = &m->links[(resource - m->num_units) / 2];
    int direction = (int)((resource - m->num_units) % 2);
    return clv_arena_printf(
        &p->arena, "%s %s %s", m->memories[link->ends[direction]].name,
        link->half_duplex ? "<>" : ">", m->memories[link->ends[1 - direction]].name);
}

static void measure_row(const clv_picture *p, clv_picture_row *row) {
    row->num_lanes = 1;
    for (uint32_t l = 0; l < p->num_layers; l++) {
        const clv_timeline_row *of_layer = row->of_layer[l];
        const clv_picture_layer *layer = &p->layers[l];
        uint64_t first = of_layer != NULL ? of_layer->first_span : 0;
        uint64_t end = of_layer != NULL ? first + of_layer->num_spans : 0;
        for (uint64_t i = first; i < end; i++) {
            const clv_span *span = &layer->timeline->spans[i];
            if (layer->lane[i] >= row->num_lanes) {
                row->num_lanes = layer->lane[i] + 1;
            }
            if (l == 0) {
                row->bytes += row->is_unit ? 0 : clv_picture_step(layer, span)->bytes;
                row->critical_us +=
                    layer->is_critical[span->step] ? span->end_us - span->start_us : 0;
            }
        }
    }
    if (row->is_unit && row->of_layer[0] != NULL) {
        row->bytes = row->of_layer[0]->bytes;
    }
}

static bool row_is_used(const clv_timeline_row *const *found) {
    return (found[0] != NULL && found[0]->num_spans > 0) ||
           (found[1] != NULL && found[1]->num_spans > 0);
}

/* Rows of the layers are in order of their resources: the picture's are the union. */
static clv_status *fill_rows(clv_picture *p) {
    uint32_t next[CLV_PICTURE_LAYERS] = {0}, num_resources = p->schedule->num_resources;
    p->rows = clv_alloc_zeroed((size_t)num_resources + 1, sizeof *p->rows);
    if (p->rows == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t r = 0; r < num_resources; r++) {
        const clv_timeline_row *found[CLV_PICTURE_LAYERS] = {NULL};
        for (uint32_t l = 0; l < p->num_layers; l++) {
            const clv_timeline *t = p->layers[l].timeline;
            if (next[l] < t->num_rows && t->rows[next[l]].resource == r) {
                found[l] = &t->rows[next[l]++];
            }
        }
        bool is_unit = r < p->machine->num_units, is_used = row_is_used(found);
        if (!is_used && (!is_unit || p->machine->num_units > MAX_IDLE_ROWS)) {
            p->num_hidden_units += is_unit;
            continue;
        }
        clv_picture_row *row = &p->rows[p->num_rows++];
        *row = (clv_picture_row){.label = make_label(p, r), .resource = r, .is_unit = is_unit};
        if (row->label == NULL) {
            return NO_MEMORY_HERE();
        }
        for (uint32_t l = 0; l < p->num_layers; l++) {
            row->of_layer[l] = found[l];
        }
        measure_row(p, row);
    }
    return NULL;
}

static clv_status *fill_types(clv_picture *p) {
    clv_name_map map;
    clv_name_map_init(&map);
    clv_status *status = NULL;
    p->types = clv_alloc_zeroed((size_t)p->workload->num_tasks + 1, sizeof *p->types);
    p->type_of_task = clv_alloc_zeroed((size_t)p->workload->num_tasks + 1, sizeof(uint32_t));
    if (p->types == NULL || p->type_of_task == NULL) {
        status = NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; status == NULL && i < p->workload->num_tasks; i++) {
        const char *type = p->workload->tasks[i].type;
        const uint32_t *known = clv_name_map_find(&map, type);
        if (known != NULL) {
            p->type_of_task[i] = *known;
        } else if (clv_name_map_set(&map, type, p->num_types)) {
            p->type_of_task[i] = p->num_types;
            p->types[p->num_types++] = type;
        } else {
            status = NO_MEMORY_HERE();
        }
    }
    clv_name_map_deinit(&map);
    return status;
}

/* "net on two cores"; a task graph is named after its file. */
static const char *make_title(clv_picture *p) {
    static const char suffix[] = ".tasks.json";
    const char *name = p->workload->name, *slash = strrchr(name, '/');
    name = slash != NULL && slash[1] != '\0' ? slash + 1 : name;
    size_t length = strlen(name), cut = sizeof suffix - 1;
    if (length > cut && strcmp(name + length - cut, suffix) == 0) {
        length -= cut;
    }
    return clv_arena_printf(&p->arena, "%.*s on %s", (int)length, name, p->machine->name);
}

static clv_status *fill(clv_picture *p) {
    const clv_report *report = p->report;
    p->title = report->title != NULL ? report->title : make_title(p);
    if (p->title == NULL) {
        return NO_MEMORY_HERE();
    }
    bool is_pair = report->measured != NULL;
    CLV_TRY(
        add_layer(p, is_pair ? "predicted" : "", report->schedule, report->run, report->timeline));
    if (is_pair) {
        const clv_schedule *executed = report->measured_schedule;
        CLV_TRY(add_layer(
            p, "measured", executed != NULL ? executed : report->schedule, report->measured_run,
            report->measured));
    }
    CLV_TRY(fill_types(p));
    return fill_rows(p);
}

clv_status *clv_picture_create(const clv_report *report, clv_picture **out_picture) {
    *out_picture = NULL;
    clv_picture *picture = clv_alloc_zeroed(1, sizeof *picture);
    if (picture == NULL) {
        return NO_MEMORY_HERE();
    }
    clv_arena_init(&picture->arena, 0);
    picture->report = report;
    picture->schedule = report->schedule;
    picture->workload = report->schedule->costs->workload;
    picture->machine = report->schedule->costs->machine;
    clv_status *status = fill(picture);
    if (status != NULL) {
        clv_picture_destroy(picture);
        return status;
    }
    *out_picture = picture;
    return NULL;
}

/* --- steps --- */

const char *clv_picture_step_name(const clv_picture *picture, const clv_schedule_step *step) {
    if (clv_picture_is_send(step)) {
        return picture->workload->tensors[step->tensor].name;
    }
    return picture->workload->tasks[step->task].name;
}

const char *clv_picture_step_reason(const clv_picture_layer *layer, const clv_schedule_step *step) {
    const clv_schedule *s = layer->schedule;
    if (clv_picture_is_send(step)) {
        return NULL;
    }
    const clv_group *group = &s->plan->groups[s->group_of_request[step->request]];
    return group->placements[step->task].reason;
}

void clv_picture_add_cause(const clv_picture_layer *layer, uint32_t step, clv_text *text) {
    static const char *const reasons[CLV_NUM_CAUSES] = {
        "", "it is needed", "a buffer became free", "the unit or link became free",
        "a request was let in"};
    const clv_cause *cause = &layer->path->causes[step];
    char name[256];
    if (cause->before == CLV_NO_INDEX) {
        clv_text_add(text, "waited for nothing");
        return;
    }
    clv_schedule_name_step(layer->schedule, cause->before, name, sizeof name);
    clv_text_add(text, "waited for %s: %s", name, reasons[cause->kind]);
}

void clv_picture_add_subtitle(const clv_picture *picture, clv_text *text) {
    const clv_schedule *s = picture->schedule;
    const clv_timeline *t = picture->layers[0].timeline;
    clv_text_add(text, "%s", s->plan->policy);
    if (picture->report->mode != NULL) {
        clv_text_add(text, ", %s", picture->report->mode);
    }
    clv_text_add(
        text, ", %u request%s, %u unit%s at work, %llu steps", s->num_requests,
        s->num_requests == 1 ? "" : "s", t->units_used, t->units_used == 1 ? "" : "s",
        (unsigned long long)s->num_steps);
}

void clv_picture_get_facts(
    const clv_picture *picture, clv_picture_fact out_facts[CLV_PICTURE_FACTS]) {
    const clv_timeline *t = picture->layers[0].timeline;
    clv_picture_fact *makespan = &out_facts[0], *period = &out_facts[1], *latency = &out_facts[2];
    clv_picture_fact *bound = &out_facts[3], *buffers = &out_facts[4];
    char other[CLV_PICTURE_NUMBER];
    *makespan = (clv_picture_fact){.what = "makespan"};
    clv_picture_time(makespan->value, t->makespan_us);
    if (picture->num_layers > 1) {
        clv_picture_time(other, picture->layers[1].timeline->makespan_us);
        clv_format(makespan->more, sizeof makespan->more, "measured %s", other);
    }
    *period = (clv_picture_fact){.what = "period"};
    clv_picture_time(period->value, t->period_us);
    clv_picture_rate(other, t->throughput_per_s);
    clv_format(period->more, sizeof period->more, "%s requests a second", other);
    if (picture->num_layers > 1) {
        clv_picture_time(other, picture->layers[1].timeline->period_us);
        clv_format(period->more, sizeof period->more, "measured %s", other);
    }
    *latency = (clv_picture_fact){.what = "latency"};
    clv_picture_time(latency->value, t->latency_us);
    clv_picture_time(other, t->max_latency_us);
    clv_format(latency->more, sizeof latency->more, "%s at most", other);
    if (picture->num_layers > 1) {
        clv_picture_time(other, picture->layers[1].timeline->latency_us);
        clv_format(latency->more, sizeof latency->more, "measured %s", other);
    }
    *bound = (clv_picture_fact){.what = "lower bound"};
    clv_picture_time(bound->value, t->bounds.best_us);
    clv_picture_percent(other, t->distance);
    clv_format(bound->more, sizeof bound->more, "%s above it; %.100s", other, t->bounds.where);
    *buffers = (clv_picture_fact){.what = "output buffers"};
    clv_format(buffers->value, sizeof buffers->value, "%u", t->buffers);
    clv_picture_bytes(other, (double)t->buffer_bytes);
    clv_format(buffers->more, sizeof buffers->more, "hold %s", other);
}

/* --- where the time went --- */

static void add_part(
    clv_text *text, double us, double wall_us, const char *what, const char *whose) {
    char share[CLV_PICTURE_NUMBER];
    if (us > 0.0005 * wall_us) {
        clv_picture_percent(share, us / wall_us);
        clv_text_add(text, ", %s %s%s", share, what, whose);
    }
}

void clv_picture_add_account(const clv_picture *picture, uint32_t unit, clv_text *text) {
    const clv_accounts *accounts = picture->report->accounts;
    const clv_account *a = &accounts->units[unit];
    const clv_unit *units = picture->machine->units;
    const double wall_us = accounts->wall_us;
    char busy[CLV_PICTURE_NUMBER];
    clv_picture_percent(busy, wall_us > 0 ? a->busy_us / wall_us : 0);
    clv_text_add(text, "%s: %s busy", units[unit].name, busy);
    add_part(text, a->transfer_us, wall_us, "transfers", "");
    for (uint32_t v = 0; v < accounts->num_units; v++) {
        const size_t pair = (size_t)unit * accounts->num_units + v;
        if (v == unit) { /* of a unit of several cores */
            const double own_us = accounts->data_us[pair] + accounts->buffer_us[pair];
            add_part(text, own_us, wall_us, "waiting for one another", "");
            continue;
        }
        add_part(text, accounts->data_us[pair], wall_us, "waiting for data of ", units[v].name);
        add_part(
            text, accounts->buffer_us[pair], wall_us, "waiting for a free buffer, of ",
            units[v].name);
    }
    add_part(text, a->place_us, wall_us, "waiting for a request in flight to end", "");
    add_part(text, a->overhead_us, wall_us, "overhead", "");
    add_part(text, a->idle_us, wall_us, "idle", "");
}

void clv_picture_add_clocks(const clv_picture *picture, clv_text *text) {
    const clv_report *report = picture->report;
    const char *before = "";
    for (uint32_t u = 0; report->clocks != NULL && u < picture->machine->num_units; u++) {
        if (report->clocks[u].is_known) {
            char time[CLV_PICTURE_NUMBER];
            clv_picture_time(time, report->clocks[u].uncertainty_us);
            clv_text_add(
                text, "%sthe clock of %s is known to %s", before, picture->machine->units[u].name,
                time);
            before = "; ";
        }
    }
    if (report->num_clamped > 0) {
        clv_text_add(
            text, "%s%llu times of devices could not be, and were moved to where they can", before,
            (unsigned long long)report->num_clamped);
    }
}

/* --- colours --- */

const char *const clv_picture_colours[CLV_PICTURE_COLOURS] = {
    "#77aadd", "#eedd88", "#44bb99", "#ffaabb", "#99ddff", "#ee8866", "#bbcc33", "#aaaa00"};

/* --- names --- */

static size_t character_bytes(const char *text) {
    const size_t length = clv_utf8_length(text);
    return length > 0 ? length : 1;
}

static int count_characters(const char *text, size_t bytes) {
    int count = 0;
    for (size_t i = 0; i < bytes; i += character_bytes(text + i)) {
        count++;
    }
    return count;
}

/* Those from the first to before the end; counted in characters. */
static void add_characters(clv_text *text, const char *name, int first, int end) {
    for (int i = 0; i < end; i++) {
        const size_t bytes = character_bytes(name);
        if (i >= first) {
            clv_text_add_bytes(text, name, bytes);
        }
        name += bytes;
    }
}

static void add_cut(clv_text *text, const char *name, int count, int room) {
    if (count <= room) {
        add_characters(text, name, 0, count);
        return;
    }
    add_characters(text, name, 0, room / 2);
    clv_text_add(text, "…");
    add_characters(text, name, count - (room - 1 - room / 2), count);
}

void clv_picture_add_short(clv_text *text, const char *name, int room) {
    static const char *const between[] = {" > ", " <> "};
    const size_t bytes = strlen(name);
    const int count = count_characters(name, bytes);
    for (int i = 0; i < 2 && count > room; i++) {
        const char *at = strstr(name, between[i]);
        const int length = (int)strlen(between[i]);
        if (at == NULL || room < length + 6) {
            continue;
        }
        const int from = count_characters(name, (size_t)(at - name)), to = count - from - length;
        const int half = (room - length) / 2, most = room - length;
        const int left = from <= half ? from : to <= half ? most - to : half;
        add_cut(text, name, from, left);
        clv_text_add(text, "%s", between[i]);
        add_cut(text, at + length, to, most - left);
        return;
    }
    add_cut(text, name, count, room);
}

/* --- numbers --- */

static const struct {
    double unit_us;
    const char *name;
} time_units[] = {{1, "us"}, {1e3, "ms"}, {1e6, "s"}};

/* The unit in which a time has at most four digits before the point. */
static size_t find_time_unit(double time_us) {
    return time_us < 9999.5 ? 0 : time_us < 9999.5e3 ? 1 : 2;
}

void clv_picture_time(char buffer[CLV_PICTURE_NUMBER], double time_us) {
    size_t unit = find_time_unit(time_us);
    clv_format(
        buffer, CLV_PICTURE_NUMBER, "%.4g %s", time_us / time_units[unit].unit_us,
        time_units[unit].name);
}

void clv_picture_bytes(char buffer[CLV_PICTURE_NUMBER], double bytes) {
    clv_format_bytes(buffer, CLV_PICTURE_NUMBER, bytes);
}

void clv_picture_rate(char buffer[CLV_PICTURE_NUMBER], double rate) {
    if (isinf(rate)) {
        clv_format(buffer, CLV_PICTURE_NUMBER, "unbounded");
        return;
    }
    clv_format(buffer, CLV_PICTURE_NUMBER, rate < 999.95 ? "%.4g" : "%.0f", rate);
}

void clv_picture_percent(char buffer[CLV_PICTURE_NUMBER], double share) {
    double percent = share * 100;
    bool is_whole = percent >= 9.95 || percent < 0.05;
    clv_format(buffer, CLV_PICTURE_NUMBER, is_whole ? "%.0f %%" : "%.1f %%", percent);
}

clv_picture_axis clv_picture_make_axis(double end_us, uint32_t most) {
    size_t unit = find_time_unit(end_us);
    clv_picture_axis axis = {time_units[unit].name, time_units[unit].unit_us, 0, 0};
    if (!(end_us > 0)) {
        return axis;
    }
    double power = pow(10, floor(log10(end_us / most)));
    static const double factors[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++) {
        axis.step_us = factors[i] * power;
        if (axis.step_us * most >= end_us * (1 - 1e-9)) {
            break;
        }
    }
    axis.num_steps = (uint32_t)(end_us / axis.step_us * (1 + 1e-9));
    return axis;
}
