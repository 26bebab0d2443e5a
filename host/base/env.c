#include "host/base/env.h"

#include <stdlib.h>

static const clv_env_info infos[CLV_NUM_ENVS] = {
#define ENV(variable, default_value, text) \
    [CLV_ENV_##                            \
        variable] = {.name = "CLEAVE_" #variable, .fallback = default_value, .meaning = text},
#include "host/base/env.def"
#undef ENV
};

const clv_env_info *clv_env_find(clv_env_id id) {
    return (unsigned)id < CLV_NUM_ENVS ? &infos[id] : NULL;
}

const char *clv_env_get(clv_env_id id) {
    const char *value = getenv(infos[id].name);
    return value != NULL && value[0] != '\0' ? value : infos[id].fallback;
}

const char *clv_env_system(const char *name) {
    return getenv(name);
}
