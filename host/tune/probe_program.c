#include "host/tune/probe_program.h"

extern const clv_kernel_source clv_source_probe;

clv_status *clv_probe_program_create(
    const clv_exec_unit *unit, clv_device *device, clv_program **out_program) {
    const clv_traits traits = clv_exec_unit_traits(unit);
    const char *width = clv_width_options(&traits);
    const clv_program_desc desc = {
        .name = clv_source_probe.name,
        .source = clv_source_probe.text,
        .source_bytes = clv_source_probe.bytes,
        .options = width != NULL ? width : "",
    };
    return device->vtable->program_create(device, &desc, out_program);
}
