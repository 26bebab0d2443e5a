/* The names of units that people type: "cpu", "core:0", "gpu:1", "cl:0.2", with limits in braces
 * ("core:1{speed=0.5,mem=256M,link=2G,latency=20us}"), lists of them, and "all". Knows no OpenCL:
 * which units there are is told by the caller.
 */
#ifndef CLV_MACHINE_UNIT_NAME_H
#define CLV_MACHINE_UNIT_NAME_H

#include "host/base/status.h"
#include "host/base/text.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum clv_unit_kind {
    CLV_UNIT_CPU,  /* all cores together */
    CLV_UNIT_CORE, /* core:INDEX */
    CLV_UNIT_GPU,  /* gpu:INDEX */
    CLV_UNIT_CL,   /* cl:PLATFORM.INDEX */
} clv_unit_kind;

typedef struct clv_unit_limits {
    double speed;           /* of its own speed; 1 */
    uint64_t memory_bytes;  /* that it may hold; UINT64_MAX: no limit */
    double link_per_second; /* bytes; INFINITY: no limit */
    double latency_us;      /* before a transfer begins; 0 */
} clv_unit_limits;

typedef struct clv_unit_name {
    clv_unit_kind kind;
    int platform, index; /* platform: of CL only */
    clv_unit_limits limits;
    char text[32]; /* without limits: "core:1" */
} clv_unit_name;

/* A unit that there is. */
typedef struct clv_unit_entry {
    clv_unit_name name; /* limits unused */
    bool usable;
    const char *reason; /* why not; borrowed */
} clv_unit_entry;

const char *clv_unit_kind_name(clv_unit_kind kind); /* "cpu" */
/* Fills text from kind, platform, index; no limits. */
void clv_unit_name_init(clv_unit_name *name, clv_unit_kind kind, int platform, int index);
/* Whether anything is limited. */
bool clv_unit_limits_any(const clv_unit_limits *limits);

/* Adds the name with its limits, as clv_unit_list_parse reads it. */
void clv_unit_name_write(const clv_unit_name *name, clv_text *text);

/* Reads `list` ("core:0,core:1{mem=1G}", "all") against the units there are.
 *
 * out_names  one for each unit, in order of priority; free with clv_free; with limits
 * errors     USAGE for what cannot be read, a unit named twice, units on the same silicon;
 *            NO_DEVICE for a unit that there is not (lists those there are) or that cannot be used
 *            (with the reason), also where "all" finds none */
clv_status *clv_unit_list_parse(
    const char *list, const clv_unit_entry *entries, size_t num_entries, clv_unit_name **out_names,
    size_t *out_num) CLV_CHECKED;

#endif
