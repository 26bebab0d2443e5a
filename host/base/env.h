/* Environment variables, all of them CLEAVE_NAME, read here and nowhere else. */
#ifndef CLV_BASE_ENV_H
#define CLV_BASE_ENV_H

#include <stddef.h>

typedef enum clv_env_id {
#define ENV(name, fallback, meaning) CLV_ENV_##name,
#include "env.def"
#undef ENV
    CLV_NUM_ENVS
} clv_env_id;

typedef struct clv_env_info {
    const char *name, *fallback, *meaning; /* name with the CLEAVE_ prefix */
} clv_env_info;

const clv_env_info *clv_env_find(clv_env_id id);
/* The variable's value, or its default where it is unset or empty; never NULL. */
const char *clv_env_get(clv_env_id id);
/* A variable of the system (HOME, XDG_CACHE_HOME, POCL_DEVICES), NULL if unset. */
const char *clv_env_system(const char *name);

#endif
