/* What tells the processors of a machine apart whose cores are of several kinds, fast and frugal
 * ones. */
#ifndef CLV_BASE_CORE_KIND_H
#define CLV_BASE_CORE_KIND_H

#include <stdint.h>

enum { CLV_KNOWN_CORES = 1024 };

/* A number for the kind of each processor (as of clv_processor_at), the same whenever it is asked
 * for; 0: all of the machine are alike, or it does not tell. By capacity, highest frequency to a
 * tenth of the highest there is, and sizes of caches, of ROOT/sys/devices/system/cpu.
 *
 * kinds  [CLV_KNOWN_CORES]. One call at a time. */
void clv_core_kinds_read(const char *root, uint64_t *kinds);

/* Of this machine, as read once. */
uint64_t clv_core_kind(int processor);

#endif
