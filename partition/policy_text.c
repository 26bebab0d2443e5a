#include "host/base/memory.h"
#include "host/base/text.h"
#include "partition/policy.h"

#include <string.h>

static const clv_policy policies[] = {
#define POLICY(name, takes_count, holds_another, description) \
    {{#name, description}, takes_count, holds_another, clv_policy_make_##name},
#include "partition/policies.def"
#undef POLICY
};
enum { NUM_POLICIES = sizeof policies / sizeof policies[0] };

size_t clv_policy_count(void) {
    return NUM_POLICIES;
}

const clv_policy_info *clv_policy_get(size_t index) {
    return index < NUM_POLICIES ? &policies[index].info : NULL;
}

const clv_policy *clv_policy_find(const char *name) {
    for (size_t i = 0; i < NUM_POLICIES; i++) {
        if (strcmp(policies[i].info.name, name) == 0) {
            return &policies[i];
        }
    }
    return NULL;
}

static clv_status *unknown_policy(const char *word) {
    const char *names[NUM_POLICIES];
    for (size_t i = 0; i < NUM_POLICIES; i++) {
        names[i] = policies[i].info.name;
    }
    const char *nearest = clv_nearest(word, names, NUM_POLICIES);
    if (nearest != NULL) {
        return CLV_ERROR(USAGE, "unknown policy '%s'; did you mean '%s'?", word, nearest);
    }
    return CLV_ERROR(USAGE, "unknown policy '%s'; cleave list policies names them all", word);
}

static clv_status *parse_level(char *word, clv_policy_level *out_level) {
    char *colon = strchr(word, ':');
    int64_t count = 0;
    if (colon != NULL) {
        *colon = '\0';
    }
    const clv_policy *policy = clv_policy_find(word);
    if (policy == NULL) {
        return unknown_policy(word);
    }
    if (colon != NULL) {
        bool is_number = clv_parse_int64(colon + 1, &count) && count >= 1 && count <= INT32_MAX;
        if (!policy->takes_count || !is_number) {
            return CLV_ERROR(
                USAGE, "policy '%s:%s': %s", word, colon + 1,
                policy->takes_count ? "the count must be a whole number from 1 on"
                                    : "this policy takes no count");
        }
    }
    *out_level = (clv_policy_level){policy, (uint32_t)count};
    return NULL;
}

static clv_status *check_levels(const clv_policy_spec *spec) {
    for (uint32_t i = 0; i + 1 < spec->num_levels; i++) {
        const clv_policy *outer = spec->levels[i].policy, *inner = spec->levels[i + 1].policy;
        if (!outer->holds_another) {
            return CLV_ERROR(
                USAGE, "policy '%s' cannot hold '%s': only data can hold another policy",
                outer->info.name, inner->info.name);
        }
        if (outer == inner || strcmp(inner->info.name, "auto") == 0) {
            return CLV_ERROR(
                USAGE, "policy '%s' cannot hold '%s'", outer->info.name, inner->info.name);
        }
    }
    return NULL;
}

clv_status *clv_policy_parse(const char *text, clv_policy_spec *out_spec) {
    clv_status *status = NULL;
    *out_spec = (clv_policy_spec){0};
    char *copy = clv_strdup(text);
    if (copy == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a policy");
    }
    for (char *word = copy; word != NULL;) {
        char *slash = strchr(word, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
        if (out_spec->num_levels == CLV_MAX_POLICY_LEVELS) {
            status = CLV_ERROR(
                USAGE, "policy '%s': at most %d levels", text, (int)CLV_MAX_POLICY_LEVELS);
            break;
        }
        CLV_TRY_DONE(parse_level(word, &out_spec->levels[out_spec->num_levels++]));
        word = slash != NULL ? slash + 1 : NULL;
    }
    if (status == NULL) {
        CLV_TRY_DONE(check_levels(out_spec));
    }
done:
    clv_free(copy);
    return status;
}

char *clv_policy_format(clv_arena *arena, const clv_policy_level *levels, uint32_t num_levels) {
    char *text = clv_arena_strdup(arena, "");
    for (uint32_t i = 0; text != NULL && i < num_levels; i++) {
        const char *slash = i > 0 ? "/" : "";
        text =
            levels[i].count > 0
                ? clv_arena_printf(
                      arena, "%s%s%s:%u", text, slash, levels[i].policy->info.name, levels[i].count)
                : clv_arena_printf(arena, "%s%s%s", text, slash, levels[i].policy->info.name);
    }
    return text;
}

clv_status *clv_policy_copies(const char *policy, uint32_t *out_copies) {
    clv_policy_spec spec;
    *out_copies = 1;
    CLV_TRY(clv_policy_parse(policy, &spec));
    if (strcmp(spec.levels[0].policy->info.name, "data") == 0 && spec.levels[0].count > 0) {
        *out_copies = spec.levels[0].count;
    }
    return NULL;
}
