#include "host/device/device.h"

#include <stdio.h>

void clv_device_unit_name(const clv_device_info *info, char out_name[32]) {
    switch (info->kind) {
    case CLV_DEVICE_CORE:
        snprintf(out_name, 32, "core:%d", info->index);
        break;
    case CLV_DEVICE_GPU:
        snprintf(out_name, 32, "gpu:%d", info->index);
        break;
    case CLV_DEVICE_CL:
        snprintf(out_name, 32, "cl:%d.%d", info->platform_index, info->device_index);
        break;
    }
}
