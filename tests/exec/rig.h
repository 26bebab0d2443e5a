/* OpenCL units opened for a test. */
#ifndef CLV_TESTS_EXEC_RIG_H
#define CLV_TESTS_EXEC_RIG_H

#include "host/exec/session.h"
#include "host/ocl/ocl.h"

typedef struct clv_rig {
    clv_ocl *ocl;
    clv_unit_entry *entries;
    size_t num_entries;
    char cache_folder[64];
} clv_rig;

/* PoCL with so many cores and threaded devices, and a cache folder of its own. */
clv_status *clv_rig_init(clv_rig *rig, int cores, int threaded) CLV_CHECKED;
void clv_rig_deinit(clv_rig *rig);

/* Opens a unit by its name, limits included ("core:0{mem=1M}"). */
clv_status *clv_rig_open(clv_rig *rig, const char *name, bool profiling, clv_exec_unit *out_unit)
    CLV_CHECKED;
/* The unit that a name stands for: itself, "core:1{link=2G}"; or "threaded", "threaded#2", PoCL's
 * first and second device with queues; or "other", the first device of another platform, limits
 * after these too. False where there is none. */
bool clv_rig_resolve(const clv_rig *rig, const char *name, char *out_text, size_t capacity);
void clv_rig_close(clv_exec_unit *unit);
bool clv_rig_is_pocl(const clv_rig *rig, const clv_unit_entry *entry);
/* The name of the first unit of a kind, "" where there is none. */
const char *clv_rig_first(const clv_rig *rig, clv_unit_kind kind);

#endif
