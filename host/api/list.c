/* `cleave list`: the tables that cleave is made of. */
#include "host/api/internal.h"
#include "host/base/env.h"
#include "host/base/text.h"
#include "host/ops/op.h"
#include "host/passes/passes.h"
#include "partition/plan.h"

#include <stdio.h>
#include <string.h>

static void list_ops(cJSON *rows) {
    for (size_t i = 0; i < clv_op_count(); i++) {
        const clv_op_def *op = clv_op_at(i);
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "name", op->name);
        cJSON_AddNumberToObject(row, "since_opset", op->since_opset);
        cJSON_AddStringToObject(row, "kernels", op->kernels != NULL ? op->kernels->name : "");
        cJSON_AddBoolToObject(row, "splits", op->splits != NULL);
        cJSON_AddItemToArray(rows, row);
    }
}

static void list_variants(cJSON *rows) {
    for (size_t i = 0; i < clv_kernel_family_count(); i++) {
        const clv_kernel_family *family = clv_kernel_family_at(i);
        for (size_t k = 0; k < family->num_variants; k++) {
            cJSON *row = cJSON_CreateObject();
            cJSON_AddStringToObject(row, "family", family->name);
            cJSON_AddStringToObject(row, "variant", family->variants[k].name);
            cJSON_AddStringToObject(row, "summary", family->variants[k].summary);
            cJSON_AddNumberToObject(row, "tunables", (double)family->variants[k].num_tunables);
            cJSON *names = cJSON_AddArrayToObject(row, "tunable_names");
            for (size_t t = 0; t < family->variants[k].num_tunables; t++) {
                cJSON_AddItemToArray(
                    names, cJSON_CreateString(family->variants[k].tunables[t].name));
            }
            cJSON_AddItemToArray(rows, row);
        }
    }
}

static void list_policies(cJSON *rows) {
    for (size_t i = 0; i < clv_policy_count(); i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "name", clv_policy_get(i)->name);
        cJSON_AddStringToObject(row, "summary", clv_policy_get(i)->description);
        cJSON_AddItemToArray(rows, row);
    }
}

static void list_passes(cJSON *rows) {
    for (size_t i = 0; i < clv_pass_count(); i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "name", clv_pass_at(i)->name);
        cJSON_AddStringToObject(row, "summary", clv_pass_at(i)->summary);
        cJSON_AddItemToArray(rows, row);
    }
}

static void list_env(cJSON *rows) {
    for (int i = 0; i < CLV_NUM_ENVS; i++) {
        const clv_env_info *info = clv_env_find((clv_env_id)i);
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "name", info->name);
        cJSON_AddStringToObject(row, "value", clv_env_get((clv_env_id)i));
        cJSON_AddStringToObject(row, "default", info->fallback);
        cJSON_AddStringToObject(row, "meaning", info->meaning);
        cJSON_AddItemToArray(rows, row);
    }
}

static void list_status(cJSON *rows) {
    for (int i = 0; i < CLV_NUM_CODES; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "exit", clv_code_exit((clv_code)i));
        cJSON_AddStringToObject(row, "name", clv_code_name((clv_code)i));
        cJSON_AddStringToObject(row, "meaning", clv_code_meaning((clv_code)i));
        cJSON_AddItemToArray(rows, row);
    }
}

static const struct {
    const char *name;
    void (*list)(cJSON *rows);
} lists[] = {
    {"ops", list_ops},       {"variants", list_variants}, {"policies", list_policies},
    {"passes", list_passes}, {"env", list_env},           {"status", list_status},
};
enum { NUM_LISTS = sizeof lists / sizeof lists[0] };

cleave_status *cleave_list(const char *what, char **out_json) {
    const char *names[NUM_LISTS];
    *out_json = NULL;
    for (size_t i = 0; i < NUM_LISTS; i++) {
        names[i] = lists[i].name;
        if (strcmp(lists[i].name, what) == 0) {
            cJSON *report = cJSON_CreateObject();
            lists[i].list(cJSON_AddArrayToObject(report, what));
            return public_status(clv_report_take(report, out_json));
        }
    }
    const char *nearest = clv_nearest(what, names, NUM_LISTS);
    return public_status(CLV_ERROR(
        USAGE,
        "there is no list '%s', there are ops, variants, policies, passes, env and status%s%s%s",
        what, nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
        nearest != NULL ? "'?" : ""));
}
