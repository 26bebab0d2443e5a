/* PoCL makes three functions of a kernel. What it does for an item stays a function by itself, of
 * which there is one: else most of the time to compile it is for nothing. */
#include "kernels_cl/kernel.h"
#include "tests/exec/rig.h"
#include "tests/support/check.h"
#include <stdio.h>
#include <stdlib.h>

extern const clv_kernel_source clv_source_conv_blocked, clv_source_reorder;

static const struct {
    const clv_kernel_source *source;
    const char *function;
} cases[] = {
    {&clv_source_conv_blocked, "conv_blocked_item"},
    {&clv_source_reorder, "reorder_plain_item"},
};

static void test_items_are_compiled_once(void **state) {
    (void)state;
    clv_rig rig;
    clv_exec_unit unit;
    assert_ok(clv_rig_init(&rig, 1, 0));
    assert_ok(clv_rig_open(&rig, "core:0", false, &unit));
    clv_device *device = unit.devices[0];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const clv_program_desc desc = {
            .name = cases[i].source->name,
            .source = cases[i].source->text,
            .source_bytes = cases[i].source->bytes,
            .options = ""};
        clv_program *program = NULL;
        char command[160];
        assert_ok(device->vtable->program_create(device, &desc, &program));
        device->vtable->program_destroy(program);
        snprintf(
            command, sizeof command, "grep -rqa '%s' '%s/kernels'", cases[i].function,
            rig.cache_folder);
        if (system(command) != 0) {
            fail_msg("%s is no function of the binary", cases[i].function);
        }
    }
    clv_rig_close(&unit);
    clv_rig_deinit(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_items_are_compiled_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
