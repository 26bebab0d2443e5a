/* A workload on a machine, for tests of plans; cmocka is included before. */
#ifndef CLV_TESTS_SUPPORT_SETTING_H
#define CLV_TESTS_SUPPORT_SETTING_H

#include "partition/plan.h"
#include <string.h>

typedef struct setting {
    clv_workload *workload;
    clv_machine *machine;
    clv_costs *costs;
} setting;

/* `status`: of reading s->workload; `machine`: one line of text. */
static inline void set_up_workload(setting *s, clv_status *status, const char *machine) {
    if (status != NULL) {
        fail_msg("%s", clv_status_message(status));
    }
    assert_null(clv_machine_parse_text(machine, &s->machine));
    assert_null(clv_costs_create(s->workload, s->machine, &s->costs));
}

/* `json`: a task graph. */
static inline void set_up(setting *s, const char *json, const char *machine) {
    set_up_workload(s, clv_workload_parse_json("test", json, strlen(json), &s->workload), machine);
}

static inline void tear_down(setting *s) {
    clv_costs_destroy(s->costs);
    clv_machine_destroy(s->machine);
    clv_workload_destroy(s->workload);
}

#endif
