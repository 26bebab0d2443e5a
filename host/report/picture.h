/* What all pictures of a run share: rows with their lanes, what is on the critical path, labels,
 * scales. */
#ifndef CLV_REPORT_PICTURE_H
#define CLV_REPORT_PICTURE_H

#include "host/base/text.h"
#include "host/report/report.h"
#include "scheduler/critical.h"

enum { CLV_PICTURE_LAYERS = 2, CLV_PICTURE_LANES = 4 };

/* One run: the first, or the measured one that is laid under it. */
typedef struct clv_picture_layer {
    const char *name; /* "predicted", "measured" */
    const clv_schedule *schedule;
    const clv_run *run;
    const clv_timeline *timeline;
    clv_critical_path *path;
    bool *is_critical; /* by step */
    uint8_t *lane;     /* by span: spans of a row that overlap are in different lanes */
} clv_picture_layer;

typedef struct clv_picture_row {
    const char *label; /* "Conv:0", "gpu:0 > host" */
    uint32_t resource;
    bool is_unit;
    uint8_t num_lanes;                                    /* 1 where nothing overlaps */
    const clv_timeline_row *of_layer[CLV_PICTURE_LAYERS]; /* NULL: nothing there */
    double critical_us;                                   /* on the first layer's critical path */
    uint64_t bytes; /* carried by a link; held at most by a unit's outputs */
} clv_picture_row;

typedef struct clv_picture {
    clv_arena arena; /* of labels */
    const clv_report *report;
    const clv_schedule *schedule; /* of the first layer */
    const clv_workload *workload;
    const clv_machine *machine;
    const char *title;
    clv_picture_layer layers[CLV_PICTURE_LAYERS];
    uint32_t num_layers;
    clv_picture_row *rows; /* units, then links; units that do nothing are left out (hidden)
                              where there are many */
    uint32_t num_rows, num_hidden_units;
    double end_us;      /* of the longest layer */
    const char **types; /* of tasks, in order of appearance */
    uint32_t num_types;
    uint32_t *type_of_task;
} clv_picture;

clv_status *clv_picture_create(const clv_report *report, clv_picture **out_picture) CLV_CHECKED;
void clv_picture_destroy(clv_picture *picture);

static inline const clv_schedule_step *clv_picture_step(
    const clv_picture_layer *layer, const clv_span *span) {
    return &layer->schedule->steps[span->step];
}
/* The task that a step runs, or the tensor that it moves. */
const char *clv_picture_step_name(const clv_picture *picture, const clv_schedule_step *step);
/* Why the step's task is where it is; NULL where nothing is known. */
const char *clv_picture_step_reason(const clv_picture_layer *layer, const clv_schedule_step *step);
/* Whether the steps of a span are transfers. */
static inline bool clv_picture_is_send(const clv_schedule_step *step) {
    return step->kind == CLV_SCHEDULE_SEND;
}

/* --- of very many spans (summary.c) --- */

enum { CLV_PICTURE_WINDOWS = 3 }; /* the beginning, the middle, the end */

typedef struct clv_picture_window {
    double begin_us, end_us;
} clv_picture_window;

/* CLV_PICTURE_WINDOWS windows of as many steps each, by when these began, `most` steps together. */
void clv_picture_choose_windows(
    const clv_picture_layer *layer, uint64_t most, clv_picture_window *out_windows);
/* Whether a part of the span lies in one of them. */
bool clv_picture_is_in_window(const clv_picture_window *windows, const clv_span *span);
/* Adds to covered[num_bins] the share of each bin that the row's spans cover, and to the num_bins
 * behind them what of that is on the critical path. */
void clv_picture_cover(
    const clv_picture_layer *layer, const clv_timeline_row *row, double bin_us, uint32_t num_bins,
    double *covered);

/* --- what is told of them --- */

/* "waited for relu1 of request 0 (a free buffer)", or what else the step began after. */
void clv_picture_add_cause(const clv_picture_layer *layer, uint32_t step, clv_text *text);
/* "pipeline, static, 4 requests in flight, ..." */
void clv_picture_add_subtitle(const clv_picture *picture, clv_text *text);

/* Where the time of a unit went: "core:0: 86 % busy, 13 % waiting for data of core:1, ..."; what is
 * less than half a thousandth is left out. */
void clv_picture_add_account(const clv_picture *picture, uint32_t unit, clv_text *text);
/* "The clock of gpu:0 is known to 2 us; 3 times of devices could not be."; nothing where there is
 * nothing to say. */
void clv_picture_add_clocks(const clv_picture *picture, clv_text *text);

/* Adds a name in at most `room` characters (5 or more): what is too long has dots in its middle,
 * both of a link's ends theirs, as it is often in the last ones that names differ. */
void clv_picture_add_short(clv_text *text, const char *name, int room);

/* What stands at the head of a picture: "period", "40 us", "25000 requests a second". */
typedef struct clv_picture_fact {
    const char *what;
    char value[32], more[160];
} clv_picture_fact;

enum { CLV_PICTURE_FACTS = 5 };
void clv_picture_get_facts(
    const clv_picture *picture, clv_picture_fact out_facts[CLV_PICTURE_FACTS]);

/* --- colours --- */

/* Cells with black text on them, told apart with any colour vision, on light and on dark pages.
 * Source: Paul Tol, "Colour schemes" (2021), the "light" scheme; its grey is for transfers. */
enum { CLV_PICTURE_COLOURS = 8 };
extern const char *const clv_picture_colours[CLV_PICTURE_COLOURS];
#define CLV_PICTURE_TRANSFER "#dddddd"
#define CLV_PICTURE_DENSITY "#8fa6c0" /* what is not of one colour */
#define CLV_PICTURE_CRITICAL "#cc3311"

/* By request where there are several, else by the task's type. */
static inline uint32_t clv_picture_colour(
    const clv_picture *picture, const clv_schedule_step *step) {
    if (picture->schedule->num_requests > 1) {
        return step->request % CLV_PICTURE_COLOURS;
    }
    return picture->type_of_task[step->task] % CLV_PICTURE_COLOURS;
}

/* --- numbers for people --- */

enum { CLV_PICTURE_NUMBER = 32 };

/* "12.5 us", "1.234 ms", "2 s": four digits. */
void clv_picture_time(char buffer[CLV_PICTURE_NUMBER], double time_us);
/* "512 B", "1.5 MiB". */
void clv_picture_bytes(char buffer[CLV_PICTURE_NUMBER], double bytes);
/* "0.25", "33.3", "16667": a second, say. */
void clv_picture_rate(char buffer[CLV_PICTURE_NUMBER], double rate);
/* "93 %", "0.4 %". */
void clv_picture_percent(char buffer[CLV_PICTURE_NUMBER], double share);

/* Where an axis from 0 to `end_us` has its marks: multiples of 1, 2 or 5 times a power of ten, at
 * most `most` of them beside 0; in units of `unit`. */
typedef struct clv_picture_axis {
    const char *unit; /* "us", "ms", "s" */
    double unit_us;   /* how many microseconds that is */
    double step_us;
    uint32_t num_steps; /* the last mark is at num_steps * step_us <= end_us */
} clv_picture_axis;

clv_picture_axis clv_picture_make_axis(double end_us, uint32_t most);

#endif
