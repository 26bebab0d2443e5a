/* Pictures of a run: a Gantt chart as text, SVG, a page that needs nothing but a browser, and a
 * trace for Chrome and Perfetto. From a schedule and its timeline, predicted or measured; a second
 * one, measured, may be laid under the first. Same input, same output, to the byte.
 *
 * Names of models and machines are untrusted: they are escaped for what they are written into.
 */
#ifndef CLV_REPORT_REPORT_H
#define CLV_REPORT_REPORT_H

#include "scheduler/record.h"
#include "scheduler/timeline.h"

/* Everything is borrowed. */
typedef struct clv_report {
    const char *title; /* NULL: "WORKLOAD on MACHINE" */
    const char *mode;  /* "static", "dynamic"; NULL: not said */
    const clv_schedule *schedule;
    const clv_run *run;           /* NULL: the schedule's predicted one */
    const clv_timeline *timeline; /* made from it */
    /* Of another run of it, or of what was executed of the same workload, machine and plan. NULL:
     * the same schedule; its predicted run. */
    const clv_schedule *measured_schedule;
    const clv_run *measured_run;
    const clv_timeline *measured; /* NULL: none */
    /* Where the time of that went, and how it was measured; NULL: not known. */
    const clv_accounts *accounts;
    const clv_record_clock *clocks; /* [num_units] */
    uint64_t num_clamped;
    const clv_step_error *errors;
    size_t num_errors;
} clv_report;

/* A line for each unit and each direction of a link; then what the run needs: units, buffers and
 * their bytes, busy shares; and what the critical path is made of. Free with clv_free.
 * NO_MEMORY. */
clv_status *clv_report_gantt(const clv_report *report, char **out_text) CLV_CHECKED;

/* The same as a picture, light or dark as the page is; up to some thousand spans are drawn one by
 * one with tooltips, rows with more as densities. */
clv_status *clv_report_svg(const clv_report *report, char **out_text) CLV_CHECKED;

/* One file with script and data in it that asks for nothing from elsewhere: zoom, pan, what a step
 * is and why. Beyond some ten thousand spans it keeps those of a few windows, and densities of the
 * whole: a few MB at most. */
clv_status *clv_report_html(const clv_report *report, char **out_text) CLV_CHECKED;

/* Chrome's trace events, which Perfetto and chrome://tracing read: a process for units and one for
 * links, a thread for each of them, arrows along data that goes from one to another. */
clv_status *clv_report_trace(const clv_report *report, char **out_text) CLV_CHECKED;

/* By how `path` ends: .html, .svg, .txt. USAGE for other names. `path` is not opened. */
clv_status *clv_report_picture(const clv_report *report, const char *path, char **out_text)
    CLV_CHECKED;

#endif
