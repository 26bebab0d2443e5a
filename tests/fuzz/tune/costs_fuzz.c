/* Any bytes as a file of measured costs: whatever is found in it makes sense, and an entry more is
 * found again. */
#include "host/tune/cost_db.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(bool is_good) {
    if (!is_good) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    char path[64];
    clv_cost_db *db = NULL;
    clv_measured_cost cost;
    int file = memfd_create("costs", MFD_CLOEXEC);
    check(file >= 0 && write(file, data, bytes) == (ssize_t)bytes);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    clv_status *status = clv_cost_db_open(path, &db);
    check(status == NULL);
    check(clv_cost_db_num_entries(db) <= bytes / 48);
    if (bytes >= 16 + 16) { /* where the first entry's key would be */
        clv_hash key;
        memcpy(&key, data + 16, sizeof key);
        if (clv_cost_db_find(db, key, &cost)) {
            check(isfinite(cost.time_us) && cost.time_us >= 0 && cost.count > 0);
        }
    }
    const clv_hash key = {.low = 1, .high = 2};
    const clv_measured_cost mine = {.time_us = 3, .spread_us = 1, .count = 4};
    status = clv_cost_db_put(db, key, &mine); /* in memory: there is no lock beside it */
    check(status == NULL && clv_cost_db_find(db, key, &cost));
    check(cost.time_us == 3 && cost.spread_us == 1 && cost.count == 4);
    clv_cost_db_close(db);
    close(file);
    return 0;
}
