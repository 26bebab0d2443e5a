/* Compiled programs on disk, one file each: FOLDER/kernels/KEY.bin.
 *
 * A file that is damaged, cut short, of another version or of another program is as good as none:
 * drivers crash on damaged binaries, so every byte is covered by a checksum. Files are written
 * whole beside their name and then renamed, so any number of processes may share the folder. A
 * folder that cannot be written costs a debug message. Without a folder, or with CLEAVE_NO_CACHE=1,
 * there is no cache.
 */
#ifndef CLV_OCL_CACHE_H
#define CLV_OCL_CACHE_H

#include "host/base/file.h"
#include "host/base/hash.h"
#include <stdbool.h>

typedef struct clv_ocl_cached {
    clv_mapped_file file;
    const char *kernels; /* "entry local_size\n" for each kernel that the binary holds compiled,
                            "* 0\n": all, for any; kernels_bytes of it, not terminated */
    size_t kernels_bytes;
    const unsigned char *binary;
    size_t binary_bytes;
} clv_ocl_cached;

/* Whether there is a cache. */
bool clv_ocl_cache_is_kept(void);
/* False where there is none; otherwise the caller unmaps out_cached->file. */
bool clv_ocl_cache_find(clv_hash key, clv_ocl_cached *out_cached);
void clv_ocl_cache_store(
    clv_hash key, const char *kernels, size_t kernels_bytes, const unsigned char *binary,
    size_t binary_bytes);

#endif
