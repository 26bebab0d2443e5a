/* The object behind a cleave_plan, and what its reports share. */
#ifndef CLV_API_PLAN_H
#define CLV_API_PLAN_H

#include "host/api/calibrate.h"
#include "host/api/internal.h"
#include "host/api/needs.h"
#include "host/base/json_writer.h"
#include "kernels_cl/kernel.h"
#include "partition/plan.h"
#include "scheduler/timeline.h"

/* Never changed once made. */
struct cleave_plan {
    clv_graph *graph; /* after all passes; NULL: a task graph */
    clv_workload *workload;
    clv_machine *pattern; /* the machine as described */
    clv_machine *machine; /* with units made for the workload, where it has none */
    clv_costs *costs;
    clv_plan *plan;
    clv_traits *traits; /* [num_units]: what variants may know; NULL unless is_real */
    bool is_real;       /* the machine is made of units of this one */
    clv_calibration calibration;
    clv_needs needs; /* of a graph where is_real; else empty */
};

/* The plan of a graph that all passes have run on, for the devices that the options name: what
 * cleave_plan_create gives for the model that it was made of. The graph is copied. */
clv_status *clv_plan_create_for_graph(
    const clv_graph *graph, const cleave_options *options, cleave_plan **out_plan) CLV_CHECKED;

/* What options say of a plan, in the form that planners take. */
typedef struct clv_plan_words {
    clv_arena arena;
    clv_plan_request request; /* in the arena, or borrowed from the options */
} clv_plan_words;

/* USAGE names the option that cannot be read. When no policy is named it is tensor with shares for
 * it, single for one unit, else auto. clv_plan_words_deinit in any case. */
clv_status *clv_plan_words_init(
    const cleave_options *options, size_t num_units, clv_plan_words *out_words) CLV_CHECKED;
void clv_plan_words_deinit(clv_plan_words *words);

/* Of a whole task alone on a unit, launch counted, as a plan's `cost_us` does; INFINITY: cannot. */
double clv_unit_time_us(const clv_costs *costs, uint32_t task, uint32_t unit);
/* The time of the slowest piece of a task where the group has it. */
double clv_placement_time_us(const clv_costs *costs, const clv_group *group, uint32_t task);
/* Members "unit", or "units", "split" and "ends". */
void clv_write_place(
    clv_json_writer *writer, const clv_costs *costs, const clv_group *group, uint32_t task);
/* Member "elsewhere": the cheapest sorts of units, at most `most`, each by its first unit that the
 * task is not on, with the task's time there, launch counted. */
void clv_write_elsewhere(
    clv_json_writer *writer, const clv_costs *costs, const clv_group *group, uint32_t task,
    uint32_t most);
/* Member "memory_bytes": unit to bytes, of units that hold any. */
void clv_write_memory(
    clv_json_writer *writer, const clv_machine *machine, const uint64_t *memory_bytes);

/* The text of `inspect --stage plan`, and of `schedule`: of as many requests as are in flight. */
void clv_plan_print(const cleave_plan *plan, clv_text *text);
clv_status *clv_plan_print_schedule(const cleave_plan *plan, clv_text *text) CLV_CHECKED;

#endif
