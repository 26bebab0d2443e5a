/* Files: mapping for reading, replacing whole, folders. Errors are IO and name the path. */
#ifndef CLV_BASE_FILE_H
#define CLV_BASE_FILE_H

#include "status.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct clv_mapped_file {
    const unsigned char *data; /* NULL for an empty file */
    size_t bytes;
    bool is_copy; /* a pipe or the like, read into memory instead */
} clv_mapped_file;

/* Read-only, private. Folders are refused. A pipe is waited for, also for who opens its other end:
 * CANCELLED where the user has had enough (cancel.h). */
clv_status *clv_file_map(const char *path, clv_mapped_file *out_file) CLV_CHECKED;
/* Of files that nobody named and a pipe is no sense in, as a cache's: whatever else is there is
 * refused, at once. */
clv_status *clv_file_map_regular(const char *path, clv_mapped_file *out_file) CLV_CHECKED;
void clv_file_unmap(clv_mapped_file *file);
/* Gives the pages back to the system; they are read again from the file when touched. */
void clv_file_drop_pages(const clv_mapped_file *file);

/* Writes beside `path`, then renames: readers see the old file or the new one, never half. Into
 * what is no regular file it is written, a pipe as clv_file_map() waits for it. */
clv_status *clv_file_replace(const char *path, const void *data, size_t bytes) CLV_CHECKED;
/* As clv_file_map_regular(). */
clv_status *clv_file_replace_regular(const char *path, const void *data, size_t bytes) CLV_CHECKED;
/* Adds to the end of `path` in one write; makes the file where there is none. */
clv_status *clv_file_append(const char *path, const void *data, size_t bytes) CLV_CHECKED;
/* Holds the lock that the file `path` stands for, which is made, against every other holder, in
 * this process too, until clv_file_unlock. Waits at most a second or so: IO then. */
clv_status *clv_file_lock(const char *path, int *out_lock) CLV_CHECKED;
void clv_file_unlock(int lock);
/* Makes the folder and its parents. */
clv_status *clv_folder_create(const char *path) CLV_CHECKED;
/* The user's cache folder for cleave (CLEAVE_CACHE_DIR, XDG_CACHE_HOME, HOME), not yet made; NULL:
 * none. */
char *clv_cache_folder_copy(void);
/* DIR/NAME where `path` lies in DIR; free with clv_free. */
char *clv_path_beside_copy(const char *path, const char *name);

#endif
