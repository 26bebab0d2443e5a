/* The first launch of a kernel on PoCL.
 *
 * PoCL keeps what it has loaded of kernels in a list of at most 128, with an entry for every local
 * size and, as launches grow, for every larger number of work-items. A launch takes the first entry
 * that is wide enough, and when it is done, lets go of the first entry that is wide enough then. If
 * another thread has put a wider one in front meanwhile, that is not the same, and an assertion
 * (3.1: found->ref_count > 0) ends the process sooner or later. All devices share the list; like
 * ones have entries in common.
 *
 * So the first launch of a kernel in a process is as wide as any may be, alone, and waited for:
 * after that there is one entry, and never another. Kernels do nothing in work-items beyond their
 * range; 65,534 of those take 0.1 ms.
 */
#include "host/ocl/internal.h"

#include <stdatomic.h>

/* Fewer than PoCL keeps: what was widened before that many others may be gone from its list. */
enum { MOST_KEPT = 120 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static clv_hash widened[MOST_KEPT]; /* a ring: number n is at n % MOST_KEPT */
static _Atomic uint64_t num_widened;

static clv_hash key_of(const clv_ocl_kernel *kernel, uint32_t local_size) {
    clv_hash key =
        clv_hash_combine(clv_ocl_module_key(kernel->module), clv_hash_string(kernel->entry));
    return clv_hash_combine(key, clv_hash_bytes(&local_size, sizeof local_size));
}

bool clv_ocl_widen_is_due(const clv_ocl_kernel *kernel) {
    return kernel->is_widened &&
           atomic_load_explicit(&num_widened, memory_order_relaxed) - kernel->widened_at >=
               MOST_KEPT;
}

bool clv_ocl_widen_begin(clv_ocl_kernel *kernel, uint32_t local_size) {
    pthread_mutex_lock(&lock);
    const clv_hash key = key_of(kernel, local_size);
    const uint64_t count = atomic_load(&num_widened);
    for (uint64_t n = count; n > 0 && count - n < MOST_KEPT; n--) {
        const clv_hash *kept = &widened[(n - 1) % MOST_KEPT];
        if (kept->low == key.low && kept->high == key.high) {
            kernel->is_widened = true;
            kernel->widened_at = n;
            return false;
        }
    }
    return true;
}

void clv_ocl_widen_end(clv_ocl_kernel *kernel, uint32_t local_size, bool has_widened) {
    if (has_widened) {
        const uint64_t count = atomic_load(&num_widened);
        widened[count % MOST_KEPT] = key_of(kernel, local_size);
        kernel->is_widened = true;
        kernel->widened_at = count + 1;
        atomic_store(&num_widened, count + 1);
    }
    pthread_mutex_unlock(&lock);
}
