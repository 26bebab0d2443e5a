/* What stands for a step when its time is looked up: everything that the time depends on. */
#ifndef CLV_TUNE_STEP_KEY_H
#define CLV_TUNE_STEP_KEY_H

#include "host/base/hash.h"
#include "host/device/device.h"
#include "host/exec/lower.h"

/* Device, driver, and how many of them make the unit; of cores of several kinds the first one's. */
clv_hash clv_unit_key(const clv_device_info *info, size_t num_devices);

/* keys  [lowered->num_steps]: of a launch, the unit's key with kernel source and build options,
 *       parameters (shapes, attributes, tunables and fused operators are in them), geometry, and
 *       what memory it touches; of other steps zeros. Steps that a long launch is cut into have
 *       the same key where they have as many items. NO_MEMORY */
clv_status *clv_step_keys(clv_hash unit, const clv_lowered *lowered, clv_hash *keys) CLV_CHECKED;

#endif
