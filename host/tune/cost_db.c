#include "host/tune/cost_db.h"

#include "host/base/env.h"
#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include <math.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a file begins with; the last digits are the version. */
static const char magic[16] = "cleave costs 01";

typedef struct record {
    uint64_t key[2];
    double time_us, spread_us;
    uint32_t count, zero;
    uint64_t check; /* of what stands before */
} record;

_Static_assert(sizeof(record) == 48, "records are written as they are");

typedef struct entry {
    clv_hash key;
    clv_measured_cost cost; /* count 0: a place in the table that is free */
    uint64_t age;           /* the larger, the later it was put */
} entry;

struct clv_cost_db {
    char *path, *lock_path, *folder; /* NULL: memory alone */
    entry *entries;                  /* a hash table, at most half full */
    size_t capacity;                 /* a power of two */
    size_t num_entries;
    uint64_t clock;
};

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for measured costs");
}

/* --- the table ------------------------------------------------------------------------------- */

/* Where the key is, or the free place where it would be. */
static size_t place_of(const clv_cost_db *db, clv_hash key) {
    size_t at = (size_t)key.low & (db->capacity - 1);
    while (db->entries[at].cost.count != 0 &&
           (db->entries[at].key.low != key.low || db->entries[at].key.high != key.high)) {
        at = (at + 1) & (db->capacity - 1);
    }
    return at;
}

static clv_status *grow(clv_cost_db *db) {
    entry *old = db->entries;
    const size_t old_capacity = db->capacity;
    const size_t capacity = old_capacity != 0 ? old_capacity * 2 : 256;
    entry *entries = clv_alloc_zeroed(capacity, sizeof *entries);
    if (entries == NULL) {
        return no_memory();
    }
    db->entries = entries;
    db->capacity = capacity;
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].cost.count != 0) {
            entries[place_of(db, old[i].key)] = old[i];
        }
    }
    clv_free(old);
    return NULL;
}

static clv_status *remember(clv_cost_db *db, clv_hash key, const clv_measured_cost *cost) {
    if (db->num_entries * 2 >= db->capacity) {
        CLV_TRY(grow(db));
    }
    entry *place = &db->entries[place_of(db, key)];
    db->num_entries += place->cost.count == 0 ? 1 : 0;
    *place = (entry){.key = key, .cost = *cost, .age = ++db->clock};
    return NULL;
}

bool clv_cost_db_find(const clv_cost_db *db, clv_hash key, clv_measured_cost *out_cost) {
    const entry *found = db->capacity != 0 ? &db->entries[place_of(db, key)] : NULL;
    if (found == NULL || found->cost.count == 0) {
        return false;
    }
    *out_cost = found->cost;
    return true;
}

size_t clv_cost_db_num_entries(const clv_cost_db *db) {
    return db->num_entries;
}

/* --- the file -------------------------------------------------------------------------------- */

static record make_record(clv_hash key, const clv_measured_cost *cost) {
    record r = {
        .key = {key.low, key.high},
        .time_us = cost->time_us,
        .spread_us = cost->spread_us,
        .count = cost->count,
    };
    r.check = clv_hash_bytes(&r, offsetof(record, check)).low;
    return r;
}

static bool makes_sense(const clv_measured_cost *cost) {
    return isfinite(cost->time_us) && isfinite(cost->spread_us) && cost->time_us >= 0 &&
           cost->spread_us >= 0 && cost->count > 0;
}

/* Whether the file is of this version, of whole records and not too long: more may be added. */
static bool is_whole(const clv_mapped_file *file) {
    return file->bytes >= sizeof magic && memcmp(file->data, magic, sizeof magic) == 0 &&
           (file->bytes - sizeof magic) % sizeof(record) == 0 &&
           (file->bytes - sizeof magic) / sizeof(record) < CLV_COST_DB_MOST;
}

/* Takes in the good records of a file, of a very long one the last. */
static clv_status *take_records(clv_cost_db *db, const clv_mapped_file *file) {
    if (file->bytes < sizeof magic || memcmp(file->data, magic, sizeof magic) != 0) {
        return NULL;
    }
    const size_t count = (file->bytes - sizeof magic) / sizeof(record);
    for (size_t i = count > CLV_COST_DB_MOST ? count - CLV_COST_DB_MOST : 0; i < count; i++) {
        record r;
        memcpy(&r, file->data + sizeof magic + i * sizeof r, sizeof r);
        const clv_hash key = {.low = r.key[0], .high = r.key[1]};
        const clv_measured_cost cost = {r.time_us, r.spread_us, r.count};
        if (r.check == clv_hash_bytes(&r, offsetof(record, check)).low && makes_sense(&cost)) {
            CLV_TRY(remember(db, key, &cost));
        }
    }
    return NULL;
}

/* A file that cannot be read is empty. */
static bool map(const char *path, clv_mapped_file *out_file) {
    clv_status *status = clv_file_map_regular(path, out_file);
    const bool is_mapped = status == NULL;
    clv_status_destroy(status);
    return is_mapped;
}

static int compare_ages(const void *a, const void *b) {
    const uint64_t x = ((const entry *)a)->age, y = ((const entry *)b)->age;
    return x < y ? -1 : x > y;
}

/* Writes the file anew: what `db` has, its oldest first; of more than a file may hold, the later
 * half. */
static clv_status *write_whole(const clv_cost_db *db) {
    entry *sorted = clv_alloc_zeroed(db->num_entries + 1, sizeof *sorted);
    char *bytes = clv_alloc(sizeof magic + (db->num_entries + 1) * sizeof(record));
    clv_status *status = sorted != NULL && bytes != NULL ? NULL : no_memory();
    if (status == NULL) {
        size_t count = 0, length = sizeof magic;
        for (size_t i = 0; i < db->capacity; i++) {
            if (db->entries[i].cost.count != 0) {
                sorted[count++] = db->entries[i];
            }
        }
        qsort(sorted, count, sizeof *sorted, compare_ages);
        memcpy(bytes, magic, sizeof magic);
        for (size_t i = count >= CLV_COST_DB_MOST ? count - CLV_COST_DB_MOST / 2 : 0; i < count;
             i++) {
            const record r = make_record(sorted[i].key, &sorted[i].cost);
            memcpy(bytes + length, &r, sizeof r);
            length += sizeof r;
        }
        status = clv_file_replace_regular(db->path, bytes, length);
    }
    clv_free(sorted);
    clv_free(bytes);
    return status;
}

/* What is good in the file, and then what `db` put last: into a new file. */
static clv_status *mend(const clv_cost_db *db, const clv_mapped_file *file, const record *last) {
    clv_cost_db merged = {.path = db->path};
    const clv_hash key = {.low = last->key[0], .high = last->key[1]};
    const clv_measured_cost cost = {last->time_us, last->spread_us, last->count};
    clv_status *status = take_records(&merged, file);
    if (status == NULL) {
        status = remember(&merged, key, &cost);
    }
    if (status == NULL) {
        status = write_whole(&merged);
    }
    clv_free(merged.entries);
    return status;
}

/* Adds a record to the file, under its lock. */
static clv_status *write_record(const clv_cost_db *db, const record *r) {
    clv_mapped_file file = {.data = NULL};
    int lock;
    CLV_TRY(clv_folder_create(db->folder));
    CLV_TRY(clv_file_lock(db->lock_path, &lock));
    const bool is_mapped = map(db->path, &file);
    clv_status *status =
        is_mapped && is_whole(&file) ? clv_file_append(db->path, r, sizeof *r) : mend(db, &file, r);
    if (is_mapped) {
        clv_file_unmap(&file);
    }
    clv_file_unlock(lock);
    return status;
}

clv_status *clv_cost_db_put(clv_cost_db *db, clv_hash key, const clv_measured_cost *cost) {
    if (!makes_sense(cost)) {
        return CLV_ERROR(
            INTERNAL, "a cost of %g us, give or take %g, from %u runs", cost->time_us,
            cost->spread_us, cost->count);
    }
    CLV_TRY(remember(db, key, cost));
    if (db->path == NULL) {
        return NULL;
    }
    const record r = make_record(key, cost);
    clv_status *status = write_record(db, &r);
    if (status != NULL) {
        static atomic_flag is_told = ATOMIC_FLAG_INIT; /* it would be the same of all */
        clv_log(
            atomic_flag_test_and_set(&is_told) ? CLV_LOG_DEBUG : CLV_LOG_WARNING,
            "measured costs are not kept: %s", clv_status_message(status));
        clv_status_destroy(status);
    }
    return NULL;
}

/* --- opening --------------------------------------------------------------------------------- */

static clv_status *set_paths(clv_cost_db *db, const char *path) {
    const char *slash = strrchr(path, '/');
    const size_t folder = slash != NULL ? (size_t)(slash - path) : 0;
    const size_t bytes = strlen(path) + sizeof ".lock";
    db->path = clv_strdup(path);
    db->lock_path = clv_alloc(bytes);
    db->folder = clv_alloc(folder + 2);
    if (db->path == NULL || db->lock_path == NULL || db->folder == NULL) {
        return no_memory();
    }
    snprintf(db->lock_path, bytes, "%s.lock", path);
    memcpy(db->folder, folder != 0 ? path : ".", folder != 0 ? folder : 1);
    db->folder[folder != 0 ? folder : 1] = '\0';
    return NULL;
}

static clv_status *load(clv_cost_db *db, const char *path) {
    clv_mapped_file file;
    CLV_TRY(set_paths(db, path));
    if (!map(path, &file)) {
        return NULL;
    }
    if (!is_whole(&file)) {
        clv_log(CLV_LOG_DEBUG, "'%s' is damaged or of another version", path);
    }
    clv_status *status = take_records(db, &file);
    clv_file_unmap(&file);
    return status;
}

clv_status *clv_cost_db_open(const char *path, clv_cost_db **out_db) {
    *out_db = NULL;
    clv_cost_db *db = clv_alloc_zeroed(1, sizeof *db);
    if (db == NULL) {
        return no_memory();
    }
    clv_status *status = path != NULL ? load(db, path) : NULL;
    if (status != NULL) {
        clv_cost_db_close(db);
        return status;
    }
    *out_db = db;
    return NULL;
}

void clv_cost_db_close(clv_cost_db *db) {
    if (db != NULL) {
        clv_free(db->path);
        clv_free(db->lock_path);
        clv_free(db->folder);
        clv_free(db->entries);
        clv_free(db);
    }
}

char *clv_cost_db_path_copy(void) {
    if (strcmp(clv_env_get(CLV_ENV_NO_CACHE), "1") == 0) {
        return NULL;
    }
    char *folder = clv_cache_folder_copy();
    if (folder == NULL) {
        return NULL;
    }
    const size_t bytes = strlen(folder) + sizeof "/costs.bin";
    char *path = clv_alloc(bytes);
    if (path != NULL) {
        snprintf(path, bytes, "%s/costs.bin", folder);
    }
    clv_free(folder);
    return path;
}
