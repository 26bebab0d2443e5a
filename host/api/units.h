/* The units of this machine for the API: found once in a process, opened for each session. */
#ifndef CLV_API_UNITS_H
#define CLV_API_UNITS_H

#include "host/exec/unit.h"
#include "host/ocl/ocl.h"

/* What OpenCL has here; found at the first call and kept while the process lives (drivers do not
 * like to be started twice). Any thread. NO_DEVICE where there is no platform. */
clv_status *clv_units_ocl(clv_ocl **out_ocl) CLV_CHECKED;

/* Every unit that can be named, with its devices' infos. */
typedef struct clv_unit_table {
    const clv_device_info **infos;
    size_t num_infos;
    clv_unit_entry *entries;
    size_t num_entries;
} clv_unit_table;
clv_status *clv_unit_table_init(const clv_ocl *ocl, clv_unit_table *out_table) CLV_CHECKED;
void clv_unit_table_deinit(clv_unit_table *table);
/* What --devices is when nobody says: CLEAVE_DEVICES, else "cpu", or where that is unusable the
 * first usable unit. Borrowed. */
const char *clv_default_devices(const clv_unit_table *table);

/* Their names with limits, as clv_unit_list_parse gives them; `list` as of clv_open_units_init. */
clv_status *clv_unit_names(const char *list, clv_unit_name **out_names, size_t *out_num)
    CLV_CHECKED;

/* Units whose devices are open. */
typedef struct clv_open_units {
    clv_exec_unit *units;
    clv_unit_name *names;
    size_t num_units;
    clv_device **devices; /* of all units, in order */
    size_t num_devices;
} clv_open_units;
/* `list`: as --devices; NULL: clv_default_devices. Errors as clv_unit_list_parse. */
clv_status *clv_open_units_init(const char *list, bool profiling, clv_open_units *out_units)
    CLV_CHECKED;
/* For lowering: variants that are as accurate as ref alone. */
void clv_open_units_set_exact(clv_open_units *units, bool is_exact);
void clv_open_units_deinit(clv_open_units *units);

#endif
