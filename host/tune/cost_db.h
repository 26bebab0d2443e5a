/* What steps took, measured once and kept: FOLDER/costs.bin in the user's cache folder.
 *
 * A key stands for everything that a step's time depends on, so an entry of
 * another driver, kernel or shape is never found; it goes when the file is cut down to size. Each
 * entry carries a checksum: one that is damaged or cut short is as good as none, and so is a whole
 * file of another version, which the next entry replaces. Entries are added one at a time under a
 * lock and readers need none, so any number of processes may share the file, and one that is
 * killed loses at most what it was writing.
 *
 * A file that cannot be written costs a debug message: entries are then kept in memory alone.
 * A database belongs to one thread at a time.
 */
#ifndef CLV_TUNE_COST_DB_H
#define CLV_TUNE_COST_DB_H

#include "host/base/hash.h"
#include "host/base/status.h"
#include <stdbool.h>

/* Entries that a file holds at most, of 48 bytes each; beyond that the older half goes. */
enum { CLV_COST_DB_MOST = 1 << 16 };

typedef struct clv_measured_cost {
    double time_us;   /* median of the runs that counted */
    double spread_us; /* distance between their quartiles */
    uint32_t count;   /* of them; at least 1 */
} clv_measured_cost;

typedef struct clv_cost_db clv_cost_db;

/* path  the file, not yet there perhaps; copied. NULL: memory alone
 * NO_MEMORY; whatever else is wrong with the file leaves the database empty. */
clv_status *clv_cost_db_open(const char *path, clv_cost_db **out_db) CLV_CHECKED;
void clv_cost_db_close(clv_cost_db *db);

/* The last that was put under the key, as of opening or by this database. */
bool clv_cost_db_find(const clv_cost_db *db, clv_hash key, clv_measured_cost *out_cost);
/* NO_MEMORY; INTERNAL unless times are finite and not negative, and count at least 1. */
clv_status *clv_cost_db_put(clv_cost_db *db, clv_hash key, const clv_measured_cost *cost)
    CLV_CHECKED;
size_t clv_cost_db_num_entries(const clv_cost_db *db);

/* Where the user's is: in clv_cache_folder_copy(); NULL: nowhere, also with CLEAVE_NO_CACHE=1. */
char *clv_cost_db_path_copy(void);

#endif
