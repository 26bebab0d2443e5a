/* The machine that the real units make, as planners see it: from what OpenCL says of devices, and a
 * short measurement of the memory. */
#ifndef CLV_API_MACHINE_H
#define CLV_API_MACHINE_H

#include "host/api/units.h"
#include "host/machine/machine.h"
#include "host/tune/cost_db.h"

/* What a unit can do. 0 where nothing is known. */
typedef struct clv_unit_speed {
    double peak_flops;  /* float32, multiply and add counted as two; estimated */
    double bandwidth;   /* bytes a second that it reads alone */
    bool is_measured;   /* the bandwidth */
    uint32_t num_cores; /* devices that it is made of, or compute units of its one */
} clv_unit_speed;

/* The device that stands for a unit, its own or the first core of `cpu`, and how many there are.
 * NULL: none. Borrowed from the table. */
const clv_device_info *clv_unit_info(
    const clv_unit_table *table, const clv_unit_name *name, uint32_t *out_count);
/* Measures a core's bandwidth at the first call in a process, some 50 ms. Any thread. */
clv_unit_speed clv_unit_speed_of(const clv_unit_table *table, const clv_unit_name *name);

/* list        as --devices; NULL: the default. Units with their limits: a link's limit gives a
 *             unit a memory of its own behind that link
 * probes      measure memory with all cores at it, and links; else they are estimates
 * db          what probes found before, and what they find now; NULL: measure in any case
 * out_traits  what variants may know of each unit; free with clv_free; NULL: not wanted
 * errors      as clv_unit_list_parse */
clv_status *clv_machine_of_units(
    const char *list, bool probes, clv_cost_db *db, clv_machine **out_machine,
    clv_traits **out_traits) CLV_CHECKED;

#endif
