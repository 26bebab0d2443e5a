/* A machine as the planner sees it: units that compute, memories they sit on, links between
 * memories. Data only: from a JSON file, from one line of text, or from probing OpenCL; it knows no
 * OpenCL itself. Immutable once made.
 *
 * A unit computes out of its memory. Units on one memory share its bandwidth. A link joins two
 * memories; data goes from memory to memory along the path of least time, link by link (through
 * host memory where there is no direct link).
 */
#ifndef CLV_MACHINE_MACHINE_H
#define CLV_MACHINE_MACHINE_H

#include "host/base/arena.h"
#include <stdbool.h>
#include <stdint.h>

#define CLV_UNLIMITED UINT64_MAX
#define CLV_NO_INDEX UINT32_MAX

typedef struct clv_memory {
    const char *name;        /* unique: "host", "gpu:0", "node:1/numa:0" */
    uint64_t capacity_bytes; /* CLV_UNLIMITED where nothing is known */
    double bandwidth;        /* bytes a second, shared by its units; INFINITY: no limit */
    double exchange; /* bytes a second at which a unit gets what another one on it has just written,
                        beside reading it; INFINITY: as fast as its own */
} clv_memory;

/* Units that compute on the same silicon: as many of their threads as there are processors run at
 * full speed, more of them share it evenly. */
typedef struct clv_processors {
    const char *name; /* unique */
    uint32_t count;
} clv_processors;

typedef struct clv_unit {
    const char *name;     /* unique: "core:0", "gpu:1", "node:1/core:3", "Conv:0" */
    const char *kind;     /* what given times are keyed by: "core", "gpu", "cpu", or any word */
    const char *driver;   /* of a real one; "" else */
    uint32_t memory;      /* index */
    uint64_t limit_bytes; /* what it may hold, within its memory's capacity; CLV_UNLIMITED */
    double peak_flops;    /* a second; 0: unknown (then only given times are known) */
    double bandwidth;     /* bytes a second that it can draw alone; INFINITY */
    double speed;         /* times are divided by it; 1 */
    double launch_us;     /* host cost of a step */
    bool overlaps;  /* transfers go on beside compute; false: a transfer to or from it occupies it
                       too */
    uint32_t slots; /* output buffers of a functional unit; 0: any number */
    uint32_t processors; /* index; CLV_NO_INDEX: it shares none with others */
    uint32_t threads;    /* that it computes with, at most as many as there are processors; 1 */
} clv_unit;

typedef struct clv_link {
    const char *name; /* unique: "gpu:0-host" */
    uint32_t ends[2]; /* memories */
    double bandwidth; /* bytes a second in one direction; INFINITY */
    double latency_us;
    bool half_duplex; /* both directions share it; else each direction is a resource of its own */
} clv_link;

typedef enum clv_bespoke {
    CLV_BESPOKE_NO,
    CLV_BESPOKE_TYPE, /* one functional unit (or several) for each operator type: a unit's kind is
                         the type */
    CLV_BESPOKE_NODE, /* one for each operator: a unit's kind is the node's name */
} clv_bespoke;

typedef struct clv_machine {
    clv_arena arena;
    const char *name;
    clv_bespoke bespoke;
    clv_memory *memories;
    uint32_t num_memories;
    clv_processors *processors;
    uint32_t num_processors; /* groups of them */
    clv_unit *units;         /* in order of priority */
    uint32_t num_units;
    uint32_t home; /* the memory that holds inputs and outputs; CLV_NO_INDEX: the first unit's */
    clv_link *links;
    uint32_t num_links;
    /* A bespoke machine whose units are not made yet (they depend on the workload): its one unit is
     * the pattern, this the number of units of each kind. 0: the units are there. */
    uint32_t pattern_count;
} clv_machine;

/* `text`: FILE.json, or one line of text as docs/machines.md describes ("core*4 peak=200G; gpu*2
 * mem=80G; link gpu* host bw=25G latency=10us"). MALFORMED points at the column; IO where a file
 * cannot be read. The result is verified. */
clv_status *clv_machine_load(const char *text, clv_machine **out_machine) CLV_CHECKED;
clv_status *clv_machine_parse_text(const char *text, clv_machine **out_machine) CLV_CHECKED;
clv_status *clv_machine_parse_json(
    const char *what, const char *json, size_t length, clv_machine **out_machine) CLV_CHECKED;
/* Pretty JSON that parse_json reads back to an equal machine; free with clv_free. */
clv_status *clv_machine_format_json(const clv_machine *machine, char **out_json) CLV_CHECKED;
/* An empty machine for code that fills it (in its own arena). */
clv_status *clv_machine_create(const char *name, clv_machine **out_machine) CLV_CHECKED;
void clv_machine_destroy(clv_machine *machine);

/* Makes the units of a bespoke pattern, one group for each of `kinds` (types or node names,
 * distinct, in workload order), named "KIND:0", "KIND:1", ... A machine with no pattern is copied.
 */
clv_status *clv_machine_instantiate(
    const clv_machine *machine, const char *const *kinds, size_t num_kinds,
    clv_machine **out_machine) CLV_CHECKED;

/* Everything that must hold: unique names, indices in range, numbers in range, at least one unit,
 * every unit reachable from the memory that holds inputs and outputs. MALFORMED names the thing. */
clv_status *clv_machine_verify(const clv_machine *machine) CLV_CHECKED;
/* The part that a unit's threads are of the processors that it shares with others; 0: it shares
 * none. */
static inline double clv_machine_processor_share(const clv_machine *machine, uint32_t unit) {
    const clv_unit *u = &machine->units[unit];
    return u->processors != CLV_NO_INDEX
               ? (double)u->threads / machine->processors[u->processors].count
               : 0;
}
uint32_t clv_machine_find_unit(const clv_machine *machine, const char *name); /* or CLV_NO_INDEX */
/* The memory that holds inputs and outputs. */
static inline uint32_t clv_machine_home(const clv_machine *machine) {
    return machine->home != CLV_NO_INDEX ? machine->home : machine->units[0].memory;
}

/* --- paths --- */

/* Paths of least time between memories, by how much is moved; ties go to fewer links, then to the
 * link named first. */
typedef struct clv_routes clv_routes;
clv_status *clv_routes_create(const clv_machine *machine, clv_routes **out_routes) CLV_CHECKED;
void clv_routes_destroy(clv_routes *routes);

enum { CLV_SHORT_PATH = 16, CLV_MOST_PATHS = 8 };
typedef struct clv_path {
    const uint32_t *hops; /* in order: 2 * link + direction (0: from ends[0] to ends[1]); borrowed
                             of the routes, or `own` */
    uint32_t count;       /* 0 where both memories are the same, CLV_NO_INDEX: there is no path */
    uint32_t own[CLV_SHORT_PATH];
} clv_path;

/* Into the caller's *out_path, which is not to be copied. Thread-safe. Error: NO_MEMORY. */
clv_status *clv_routes_path(
    clv_routes *routes, uint32_t from_memory, uint32_t to_memory, double bytes,
    clv_path *out_path) CLV_CHECKED;

/* What a path takes alone: latency_us + bytes * us_per_byte. */
typedef struct clv_path_line {
    double latency_us, us_per_byte;
} clv_path_line;

/* Of all paths that are the best for some size: the least of them is the time. No line: there is no
 * path. Thread-safe. Error: NO_MEMORY. */
clv_status *clv_routes_lines(
    clv_routes *routes, uint32_t from_memory, uint32_t to_memory,
    clv_path_line out_lines[CLV_MOST_PATHS], uint32_t *out_count) CLV_CHECKED;
/* Hops that leave a memory, links in order; *out_hops is borrowed of `routes`. */
uint32_t clv_routes_leaving(const clv_routes *routes, uint32_t memory, const uint32_t **out_hops);
/* Time of one hop for so many bytes, alone on the link, in microseconds. */
double clv_link_time_us(const clv_link *link, double bytes);

#endif
