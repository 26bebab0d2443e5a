/* What variants took on CPUs like this one when the library was made: host/tune/shipped.def, which
 * tests/bench/tuned_table.py writes from what `cleave tune` measured. It decides where nothing was
 * measured on the unit itself.
 *
 * A key stands for the class of CPU and for everything of a launch: kernel source, parameters,
 * tunables. So an entry is of no use, and does no harm, once a kernel has changed. How many
 * cores a unit has is not in it: units of all sizes choose the same, and so compute the same.
 */
#ifndef CLV_TUNE_SHIPPED_H
#define CLV_TUNE_SHIPPED_H

#include "kernels_cl/kernel.h"
#include <stdbool.h>

typedef struct clv_shipped_cost {
    uint64_t key;
    float time_us;
} clv_shipped_cost;

typedef struct clv_shipped_table {
    const clv_shipped_cost *costs; /* [count], by rising keys */
    size_t count;
} clv_shipped_table;

extern const clv_shipped_table clv_shipped_costs;

/* The class of a unit, by vectors and cache: "AVX-512"; NULL: none that a table is made for. */
const char *clv_shipped_class(const clv_traits *traits);

/* traits  of a unit that has a class
 * errors  as clv_variant_key */
clv_status *clv_shipped_key(
    const clv_call *call, const clv_way *way, const clv_traits *traits,
    uint64_t *out_key) CLV_CHECKED;

/* Microseconds; NAN: not in the table. */
double clv_shipped_find(const clv_shipped_table *table, uint64_t key);

#endif
