/* Any bytes as times of the operators of a small task graph: an error, or a graph that is still
 * good. */
#include "host/workload/times.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char *const tasks =
    "{\"tasks\":[{\"name\":\"a\",\"type\":\"Conv\",\"aliases\":[\"c\",\"d\"],\"flops\":10},{"
    "\"name\":\"b\",\"type\":\"Relu\","
    "\"time_us\":9}],\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":8}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    clv_workload *workload = NULL;
    clv_machine *machine = NULL;
    clv_status *status = clv_workload_parse_json("fuzz", tasks, strlen(tasks), &workload);
    if (status != NULL) {
        abort(); /* not the input's fault */
    }
    status = clv_machine_parse_text("core*2; p", &machine);
    if (status != NULL) {
        abort();
    }
    status = clv_workload_give_times(workload, machine, "fuzz", (const char *)data, bytes);
    if (status == NULL) {
        status = clv_workload_verify(workload);
        if (status != NULL) {
            abort(); /* what was accepted must be good */
        }
    }
    clv_status_destroy(status);
    clv_workload_destroy(workload);
    clv_machine_destroy(machine);
    return 0;
}
