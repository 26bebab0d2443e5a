#include "host/passes/program.h"

#include "host/passes/rewrite.h"

#include <float.h>
#include <math.h>
#include <string.h>

static bool is_float_op(const clv_node *node) {
    if (node->removed || node->op == NULL || (node->op->flags & CLV_OP_POINTWISE) == 0 ||
        node->op->kernels != &clv_kernels_elementwise || node->params == NULL) {
        return false;
    }
    return ((const clv_ew_expr *)node->params)->domain == CLV_EW_FLOAT;
}

static uint32_t num_operands(const clv_ew_expr_step *step) {
    return clv_ew_op_find(CLV_EW_FLOAT, step->op)->num_operands;
}

/* A program in the making; `fits` is false once something did not fit. */
typedef struct builder {
    clv_pointwise_program program;
    bool fits;
} builder;

static uint32_t add_input(builder *b, clv_tensor_id id) {
    clv_pointwise_program *p = &b->program;
    for (uint32_t i = 0; i < p->num_inputs; i++) {
        if (p->inputs[i] == id) {
            return i;
        }
    }
    if (p->num_inputs == EW_MAX_OPERANDS) {
        b->fits = false;
        return 0;
    }
    p->inputs[p->num_inputs] = id;
    return p->num_inputs++;
}

static uint32_t add_step(builder *b, const clv_ew_expr_step *step) {
    if (b->program.expr.num_steps == EW_MAX_STEPS) {
        b->fits = false;
        return 0;
    }
    b->program.expr.steps[b->program.expr.num_steps] = *step;
    return CLV_EW_RESULT + b->program.expr.num_steps++;
}

static uint32_t add_unary(builder *b, uint32_t op, uint32_t x, float a, float c) {
    const clv_ew_expr_step step = {.op = op, .operands = {x}, .a = a, .b = c};
    return add_step(b, &step);
}

static bool is_power_of_two(float value) {
    int exponent;
    return fabsf(frexpf(value, &exponent)) == 0.5f;
}

/* The product with the reciprocal is the quotient to the last bit. */
static bool has_exact_reciprocal(float value) {
    return is_power_of_two(value) && isnormal(1 / value);
}

/* x OP c or, where `is_left`, c OP x, as one step; UINT32_MAX where there is none. */
static uint32_t add_with_constant(builder *b, uint32_t op, uint32_t x, float c, bool is_left) {
    switch (op) {
    case EW_FLOAT_ADD:
        return add_unary(b, EW_FLOAT_AFFINE, x, 1, c);
    case EW_FLOAT_SUB:
        return is_left ? add_unary(b, EW_FLOAT_AFFINE, x, -1, c)
                       : add_unary(b, EW_FLOAT_AFFINE, x, 1, -c);
    case EW_FLOAT_MUL:
        return add_unary(b, EW_FLOAT_AFFINE, x, c, -0.0f); /* plus -0: a zero keeps its sign */
    case EW_FLOAT_DIV:
        if (is_left && c == 1) {
            return add_unary(b, EW_FLOAT_RECIPROCAL, x, 0, 0);
        }
        return !is_left && has_exact_reciprocal(c) ? add_unary(b, EW_FLOAT_AFFINE, x, 1 / c, -0.0f)
                                                   : UINT32_MAX;
    case EW_FLOAT_MAX:
        return isnan(c) ? UINT32_MAX : add_unary(b, EW_FLOAT_CLIP, x, c, INFINITY);
    case EW_FLOAT_MIN:
        return isnan(c) ? UINT32_MAX : add_unary(b, EW_FLOAT_CLIP, x, -INFINITY, c);
    case EW_FLOAT_POW: {
        if (is_left || (c != 2 && c != 3)) {
            return UINT32_MAX;
        }
        clv_ew_expr_step square = {.op = EW_FLOAT_MUL, .operands = {x, x}};
        uint32_t result = add_step(b, &square);
        square.operands[0] = result;
        return c == 2 ? result : add_step(b, &square);
    }
    default:
        return UINT32_MAX;
    }
}

/* Drops steps that the last one does not need. */
static void drop_unused(clv_ew_expr *expr) {
    bool used[EW_MAX_STEPS] = {false};
    uint32_t place_of[EW_MAX_STEPS] = {0}, kept = 0;
    used[expr->num_steps - 1] = true;
    for (uint32_t s = expr->num_steps; s-- > 0;) {
        for (uint32_t i = 0; used[s] && i < num_operands(&expr->steps[s]); i++) {
            uint32_t at = expr->steps[s].operands[i];
            if (at >= CLV_EW_RESULT) {
                used[at - CLV_EW_RESULT] = true;
            }
        }
    }
    for (uint32_t s = 0; s < expr->num_steps; s++) {
        if (!used[s]) {
            continue;
        }
        clv_ew_expr_step step = expr->steps[s];
        for (uint32_t i = 0; i < num_operands(&step); i++) {
            uint32_t at = step.operands[i];
            step.operands[i] =
                at >= CLV_EW_RESULT ? CLV_EW_RESULT + place_of[at - CLV_EW_RESULT] : at;
        }
        place_of[s] = kept;
        expr->steps[kept++] = step;
    }
    expr->num_steps = kept;
}

/* Copies are left out, unless there is nothing else, and neighbouring clips are one. */
static void tidy(clv_ew_expr *expr) {
    for (uint32_t s = 0; s < expr->num_steps; s++) {
        clv_ew_expr_step *step = &expr->steps[s];
        for (uint32_t i = 0; i < num_operands(step); i++) {
            uint32_t at = step->operands[i];
            if (at >= CLV_EW_RESULT && expr->steps[at - CLV_EW_RESULT].op == EW_FLOAT_COPY) {
                step->operands[i] = expr->steps[at - CLV_EW_RESULT].operands[0];
            }
        }
        if (step->op != EW_FLOAT_CLIP || step->operands[0] < CLV_EW_RESULT) {
            continue;
        }
        const clv_ew_expr_step *before = &expr->steps[step->operands[0] - CLV_EW_RESULT];
        if (before->op == EW_FLOAT_CLIP && before->a <= before->b && step->a <= step->b) {
            float low = fmaxf(before->a, step->a), high = fminf(before->b, step->b);
            if (low <= high) {
                step->operands[0] = before->operands[0];
                step->a = low;
                step->b = high;
            }
        }
    }
    if (expr->num_steps > 1 && expr->steps[expr->num_steps - 1].op == EW_FLOAT_COPY &&
        expr->steps[expr->num_steps - 1].operands[0] == CLV_EW_RESULT + expr->num_steps - 2) {
        expr->num_steps--;
    }
    drop_unused(expr);
}

/* --- from a node --- */

typedef struct operand {
    bool is_constant;
    float value;
    clv_tensor_id tensor;
} operand;

static bool find_operand(
    const clv_graph *graph, const clv_node *node, uint32_t index, operand *out_operand) {
    if (index >= node->num_inputs || node->inputs[index] == CLV_NO_ID) {
        return false;
    }
    double value = 0;
    *out_operand = (operand){.tensor = node->inputs[index]};
    out_operand->is_constant = clv_pass_scalar(graph, out_operand->tensor, &value);
    out_operand->value = (float)value;
    return true;
}

static uint32_t place(builder *b, const operand *o) {
    return o->is_constant ? add_unary(b, EW_FLOAT_CONST, 0, o->value, 0) : add_input(b, o->tensor);
}

/* One step of the node's expression over operands of the program. */
static uint32_t add_node_step(
    builder *b, const clv_graph *graph, const clv_node *node, const clv_ew_expr_step *step,
    const uint32_t *results) {
    uint32_t count = num_operands(step);
    operand operands[3] = {{0}};
    bool is_input[3] = {false};
    for (uint32_t i = 0; i < count; i++) {
        is_input[i] = step->operands[i] < CLV_EW_RESULT;
        if (is_input[i] && !find_operand(graph, node, step->operands[i], &operands[i])) {
            b->fits = false;
            return 0;
        }
    }
    for (uint32_t i = 0; count == 2 && i < 2; i++) {
        uint32_t other = 1 - i;
        if (operands[i].is_constant && !operands[other].is_constant) {
            uint32_t x = is_input[other] ? place(b, &operands[other])
                                         : results[step->operands[other] - CLV_EW_RESULT];
            uint32_t result = add_with_constant(b, step->op, x, operands[i].value, i == 0);
            if (result != UINT32_MAX) {
                return result;
            }
        }
    }
    clv_ew_expr_step copy = *step;
    for (uint32_t i = 0; i < count; i++) {
        copy.operands[i] =
            is_input[i] ? place(b, &operands[i]) : results[step->operands[i] - CLV_EW_RESULT];
    }
    return add_step(b, &copy);
}

/* A fold over all inputs, then the steps behind it. */
static void add_fold(builder *b, const clv_graph *graph, const clv_node *node) {
    const clv_ew_expr *expr = node->params;
    uint32_t results[EW_MAX_STEPS] = {0};
    operand first;
    if (!find_operand(graph, node, 0, &first)) {
        b->fits = false;
        return;
    }
    results[0] = place(b, &first);
    for (uint32_t i = 1; i < node->num_inputs && b->fits; i++) {
        const clv_ew_expr_step step = {.op = expr->steps[0].op, .operands = {CLV_EW_RESULT, i}};
        results[0] = add_node_step(b, graph, node, &step, results);
    }
    if (node->num_inputs == 1) {
        results[0] = add_unary(b, EW_FLOAT_COPY, results[0], 0, 0);
    }
    for (uint32_t s = 1; s < expr->num_steps && b->fits; s++) {
        results[s] = add_node_step(b, graph, node, &expr->steps[s], results);
    }
}

bool clv_program_of_node(
    const clv_graph *graph, const clv_node *node, clv_pointwise_program *out_program) {
    if (!is_float_op(node)) {
        return false;
    }
    const clv_ew_expr *expr = node->params;
    builder b = {.program = {.expr = {.domain = CLV_EW_FLOAT}}, .fits = true};
    if (expr->folds) {
        add_fold(&b, graph, node);
    } else {
        uint32_t results[EW_MAX_STEPS] = {0};
        for (uint32_t s = 0; s < expr->num_steps && b.fits; s++) {
            results[s] = add_node_step(&b, graph, node, &expr->steps[s], results);
        }
    }
    if (!b.fits || b.program.expr.num_steps == 0) {
        return false;
    }
    tidy(&b.program.expr);
    *out_program = b.program;
    return b.program.num_inputs > 0 && clv_ew_expr_fits(&b.program.expr);
}

/* --- programs of programs --- */

/* (x * a) * c + d as one step, where it is the same to the last bit of normal numbers: one factor
 * is a power of two, where a sum follows the first, since a device may round that and the product
 * at once; and both make values larger or both smaller, so that no overflow is hidden. Sums before
 * a product stay: (x + b) * c is another thing than x * c + b * c where x and b cancel. */
static bool merge_affine(builder *b, const clv_ew_expr_step *step, uint32_t x, uint32_t *out) {
    if (step->op != EW_FLOAT_AFFINE || x < CLV_EW_RESULT) {
        return false;
    }
    const clv_ew_expr_step *before = &b->program.expr.steps[x - CLV_EW_RESULT];
    const bool is_product = before->op == EW_FLOAT_AFFINE && before->b == 0 && signbit(before->b);
    const bool is_sum = step->b != 0 || !signbit(step->b);
    if (!is_product || (!is_power_of_two(before->a) && (is_sum || !is_power_of_two(step->a)))) {
        return false;
    }
    const float first = fabsf(before->a), second = fabsf(step->a);
    const bool is_one_way = (first <= 1 && second <= 1) || (first >= 1 && second >= 1);
    if (!is_one_way || !isnormal(before->a * step->a)) {
        return false;
    }
    *out = add_unary(b, EW_FLOAT_AFFINE, before->operands[0], before->a * step->a, step->b);
    return true;
}

/* Appends the steps of `from`, whose input i is operand map[i]; returns its result. */
static uint32_t append(builder *b, const clv_ew_expr *from, const uint32_t *map) {
    uint32_t results[EW_MAX_STEPS] = {0};
    for (uint32_t s = 0; s < from->num_steps && b->fits; s++) {
        clv_ew_expr_step step = from->steps[s];
        for (uint32_t i = 0; i < num_operands(&step); i++) {
            uint32_t at = step.operands[i];
            step.operands[i] = at < CLV_EW_RESULT ? map[at] : results[at - CLV_EW_RESULT];
        }
        if (!merge_affine(b, &step, step.operands[0], &results[s])) {
            results[s] = add_step(b, &step);
        }
    }
    return results[from->num_steps - 1];
}

bool clv_program_inline(
    const clv_pointwise_program *outer, uint32_t slot, const clv_pointwise_program *inner,
    clv_pointwise_program *out_program) {
    builder b = {.program = {.expr = {.domain = CLV_EW_FLOAT}}, .fits = true};
    uint32_t map[EW_MAX_OPERANDS] = {0};
    for (uint32_t i = 0; i < inner->num_inputs; i++) {
        map[i] = add_input(&b, inner->inputs[i]);
    }
    uint32_t result = append(&b, &inner->expr, map);
    for (uint32_t i = 0; i < outer->num_inputs; i++) {
        map[i] = i == slot ? result : add_input(&b, outer->inputs[i]);
    }
    append(&b, &outer->expr, map);
    if (!b.fits) {
        return false;
    }
    tidy(&b.program.expr);
    clv_program_recognise(&b.program);
    *out_program = b.program;
    return clv_ew_expr_fits(&b.program.expr);
}

/* --- functions that have an operation of their own --- */

/* What may stand between the value and the function of it beside the operations that name it. With
 * these alone the function is a quotient of polynomials of low degree in the value and the results
 * of those operations, on each side of its kinks: agreement at many more points than its degree is
 * taken for identity where the kinks are those of the known function (has_known_kinks). */
static bool is_rational(uint32_t op) {
    return op == EW_FLOAT_AFFINE || op == EW_FLOAT_ADD || op == EW_FLOAT_SUB ||
           op == EW_FLOAT_MUL || op == EW_FLOAT_DIV || op == EW_FLOAT_NEG ||
           op == EW_FLOAT_RECIPROCAL || op == EW_FLOAT_CONST || op == EW_FLOAT_COPY;
}

typedef struct known_function {
    uint32_t op;
    float a;
    double kink;       /* kinks are at this and at minus this, if any */
    uint32_t atoms[4]; /* operations that must not be rational, one of which is there */
    uint32_t num_atoms;
} known_function;

static const known_function known_functions[] = {
    {EW_FLOAT_GELU, 0, 0, {EW_FLOAT_ERF}, 1},
    {EW_FLOAT_GELU_TANH, 0, 0, {EW_FLOAT_TANH, EW_FLOAT_SIGMOID, EW_FLOAT_EXP, EW_FLOAT_SWISH}, 4},
    {EW_FLOAT_SWISH, 1, 0, {EW_FLOAT_SIGMOID, EW_FLOAT_EXP, EW_FLOAT_TANH}, 3},
    {EW_FLOAT_SWISH, 1.702f, 0, {EW_FLOAT_SIGMOID, EW_FLOAT_EXP, EW_FLOAT_TANH}, 3},
    {EW_FLOAT_SIGMOID, 0, 0, {EW_FLOAT_EXP, EW_FLOAT_TANH}, 2},
    {EW_FLOAT_HARD_SWISH, 0, 3, {EW_FLOAT_HARD_SIGMOID, EW_FLOAT_CLIP, EW_FLOAT_RELU}, 3},
    {EW_FLOAT_MISH, 0, 0, {EW_FLOAT_SOFTPLUS, EW_FLOAT_TANH}, 2},
};

static bool has_atom(const known_function *f, uint32_t op) {
    for (uint32_t i = 0; i < f->num_atoms; i++) {
        if (f->atoms[i] == op) {
            return true;
        }
    }
    return false;
}

/* The part of an expression that leads from value `from` to step `to`, as an expression of one
 * operand; false where anything else comes in, or nothing but one step is there. */
static bool cut_out(const clv_ew_expr *expr, uint32_t from, uint32_t to, clv_ew_expr *out_part) {
    bool needed[EW_MAX_STEPS] = {false};
    uint32_t place_of[EW_MAX_STEPS] = {0};
    needed[to] = true;
    for (uint32_t s = to + 1; s-- > 0;) {
        for (uint32_t i = 0; needed[s] && i < num_operands(&expr->steps[s]); i++) {
            uint32_t at = expr->steps[s].operands[i];
            if (at == from) {
                continue;
            }
            if (at < CLV_EW_RESULT) {
                return false;
            }
            needed[at - CLV_EW_RESULT] = true;
        }
    }
    *out_part = (clv_ew_expr){.domain = CLV_EW_FLOAT};
    for (uint32_t s = 0; s <= to; s++) {
        if (!needed[s]) {
            continue;
        }
        clv_ew_expr_step step = expr->steps[s];
        for (uint32_t i = 0; i < num_operands(&step); i++) {
            uint32_t at = step.operands[i];
            step.operands[i] = at == from ? 0 : CLV_EW_RESULT + place_of[at - CLV_EW_RESULT];
        }
        place_of[s] = out_part->num_steps;
        out_part->steps[out_part->num_steps++] = step;
    }
    return out_part->num_steps > 1;
}

static bool is_built_like(const clv_ew_expr *part, const known_function *f) {
    uint32_t atoms = 0;
    for (uint32_t s = 0; s < part->num_steps; s++) {
        uint32_t op = part->steps[s].op;
        atoms += has_atom(f, op);
        if (!has_atom(f, op) && !is_rational(op)) {
            return false;
        }
    }
    return atoms > 0 && atoms <= 2;
}

/* A value that is slope * u + offset, where u is what the part is a function of (`of` is 0) or the
 * result of a clip (CLV_EW_RESULT + its step). */
typedef struct line {
    bool is_line;
    double slope, offset;
    uint32_t of;
} line;

static line line_of_sum(line x, line y, double sign) {
    const bool fits = x.is_line && y.is_line && (x.of == y.of || x.slope == 0 || y.slope == 0);
    return (line){
        fits, x.slope + sign * y.slope, x.offset + sign * y.offset, x.slope != 0 ? x.of : y.of};
}

static line scaled(line x, double factor, double offset) {
    return (line){x.is_line, x.slope * factor, x.offset * factor + offset, x.of};
}

static line line_of_product(line x, line y) {
    line result = x.slope == 0 ? scaled(y, x.offset, 0) : scaled(x, y.offset, 0);
    result.is_line = x.is_line && y.is_line && (x.slope == 0 || y.slope == 0);
    return result;
}

/* Of a step, by those of its operands. */
static line line_of_step(const clv_ew_expr_step *step, line x, line y) {
    const line none = {.is_line = false};
    switch (step->op) {
    case EW_FLOAT_CONST:
        return (line){true, 0, (double)step->a, 0};
    case EW_FLOAT_COPY:
        return x;
    case EW_FLOAT_AFFINE:
        return scaled(x, (double)step->a, (double)step->b);
    case EW_FLOAT_NEG:
        return scaled(x, -1, 0);
    case EW_FLOAT_ADD:
        return line_of_sum(x, y, 1);
    case EW_FLOAT_SUB:
        return line_of_sum(x, y, -1);
    case EW_FLOAT_MUL:
        return line_of_product(x, y);
    case EW_FLOAT_DIV:
        return y.is_line && y.slope == 0 && y.offset != 0 ? scaled(x, 1 / y.offset, 0) : none;
    default:
        return none;
    }
}

/* An operation that lets its operand through between two bounds: as a line of the operand, which is
 * held between `low` and `high`. */
static bool is_clip(const clv_ew_expr_step *step, line *out_inside, double *low, double *high) {
    *out_inside = (line){true, 1, 0, 0};
    *low = step->op == EW_FLOAT_CLIP ? (double)step->a : 0;
    *high = step->op == EW_FLOAT_CLIP ? (double)step->b : step->op == EW_FLOAT_RELU ? HUGE_VAL : 1;
    if (step->op == EW_FLOAT_HARD_SIGMOID) {
        *out_inside = (line){true, (double)step->a, (double)step->b, 0};
    }
    return step->op == EW_FLOAT_CLIP || step->op == EW_FLOAT_RELU ||
           step->op == EW_FLOAT_HARD_SIGMOID;
}

/* Where a line has the value: of what the part is a function of; HUGE_VAL: nowhere, or where it
 * already bends. False where that cannot be told. */
static bool solve(const clv_ew_expr *part, const line *lines, line from, double value, double *at) {
    for (uint32_t depth = 0; depth <= part->num_steps; depth++) {
        if (!from.is_line || from.slope == 0) {
            return false;
        }
        value = (value - from.offset) / from.slope;
        if (from.of < CLV_EW_RESULT) {
            *at = value;
            return true;
        }
        double low, high;
        line inside;
        const clv_ew_expr_step *clip = &part->steps[from.of - CLV_EW_RESULT];
        is_clip(clip, &inside, &low, &high);
        if (value <= low || value >= high) {
            *at = HUGE_VAL;
            return true;
        }
        from = clip->operands[0] < CLV_EW_RESULT ? (line){true, 1, 0, 0}
                                                 : lines[clip->operands[0] - CLV_EW_RESULT];
        from = scaled(from, inside.slope, inside.offset);
    }
    return false;
}

/* Every bound of every clip is reached where the known function has a kink, or nowhere. */
static bool has_known_kinks(const clv_ew_expr *part, const known_function *f) {
    line lines[EW_MAX_STEPS];
    for (uint32_t s = 0; s < part->num_steps; s++) {
        const clv_ew_expr_step *step = &part->steps[s];
        line operands[2] = {{true, 1, 0, 0}, {true, 1, 0, 0}}, inside;
        double bounds[2];
        for (uint32_t i = 0; i < num_operands(step) && i < 2; i++) {
            if (step->operands[i] >= CLV_EW_RESULT) {
                operands[i] = lines[step->operands[i] - CLV_EW_RESULT];
            }
        }
        lines[s] = line_of_step(step, operands[0], operands[1]);
        if (!is_clip(step, &inside, &bounds[0], &bounds[1])) {
            continue;
        }
        lines[s] = (line){true, 1, 0, CLV_EW_RESULT + s};
        const line clipped = scaled(operands[0], inside.slope, inside.offset);
        for (uint32_t i = 0; i < 2; i++) {
            double at = HUGE_VAL;
            if (fabs(bounds[i]) < (double)FLT_MAX && !solve(part, lines, clipped, bounds[i], &at)) {
                return false;
            }
            if (isfinite(at) && fabs(fabs(at) - f->kink) > 1e-5) {
                return false;
            }
        }
    }
    return true;
}

/* Whether both are the same at `x` to within `relative` of the value and `absolute`. */
static bool agrees_at(
    const clv_ew_expr *part, const clv_ew_expr *known, double x, double relative, double absolute) {
    const double want = clv_pointwise_eval(known, &x), got = clv_pointwise_eval(part, &x);
    return fabs(want - got) <= fmax(relative * fabs(want), absolute);
}

/* Agreement on both sides of every kink; exporters write constants with few digits, so to 2e-6 of
 * the larger of value and argument. Far out, where a function is a constant or x itself, it must be
 * that, however small: a logarithm behind sees what was added to keep it from 0. There what is
 * written out may overflow, and means the function all the same. */
static bool agrees(const clv_ew_expr *part, const known_function *f) {
    clv_ew_expr known = {.domain = CLV_EW_FLOAT};
    clv_ew_add(&known, f->op, 0, 0, 0);
    known.steps[0].a = f->a;
    for (int i = -60; i <= 60; i++) {
        const double x = i < -50 || i > 50 ? i * i * i * 2e-4 : i * 0.173 + 0.011;
        if (!agrees_at(part, &known, x, 2e-6, 2e-6 * fmin(fabs(x), 1))) {
            return false;
        }
    }
    const double relative = f->op == EW_FLOAT_SIGMOID ? 1e-12 : 2e-6;
    for (double x = 1e3; x < 1e38; x *= 1e5) {
        for (int sign = -1; sign <= 1; sign += 2) {
            const double at = sign * x;
            if (isfinite(clv_pointwise_eval(part, &at)) &&
                !agrees_at(part, &known, at, relative, 0)) {
                return false;
            }
        }
    }
    return true;
}

static const known_function *find_function(const clv_ew_expr *part) {
    for (size_t i = 0; i < sizeof known_functions / sizeof *known_functions; i++) {
        const known_function *f = &known_functions[i];
        if (is_built_like(part, f) && has_known_kinks(part, f) && agrees(part, f)) {
            return f;
        }
    }
    return NULL;
}

static bool recognise_step(clv_pointwise_program *program, uint32_t to) {
    clv_ew_expr *expr = &program->expr;
    for (uint32_t v = 0; v < program->num_inputs + to; v++) { /* earliest: longest parts first */
        uint32_t from = v < program->num_inputs ? v : CLV_EW_RESULT + (v - program->num_inputs);
        clv_ew_expr part;
        if (!cut_out(expr, from, to, &part)) {
            continue;
        }
        const known_function *f = find_function(&part);
        if (f != NULL) {
            expr->steps[to] = (clv_ew_expr_step){.op = f->op, .operands = {from}, .a = f->a};
            drop_unused(expr);
            return true;
        }
    }
    return false;
}

void clv_program_recognise(clv_pointwise_program *program) {
    for (uint32_t to = program->expr.num_steps; to-- > 0;) {
        if (to < program->expr.num_steps && recognise_step(program, to)) {
            to = program->expr.num_steps;
        }
    }
}

const char *clv_program_text_of(const clv_ew_expr *expr, clv_arena *arena) {
    const char *text = "";
    for (uint32_t s = 0; s < expr->num_steps && text != NULL; s++) {
        const char *name = clv_ew_op_find(expr->domain, expr->steps[s].op)->name;
        text = clv_arena_printf(arena, "%s%s%s", text, s == 0 ? "" : ", ", name);
    }
    return text;
}

clv_status *clv_program_put(
    clv_graph *graph, clv_node_id id, const clv_pointwise_program *program) {
    clv_arena *arena = &graph->arena;
    clv_node *node = &graph->nodes[id];
    node->inputs =
        clv_arena_copy(arena, program->inputs, program->num_inputs * sizeof *node->inputs);
    node->params = clv_arena_copy(arena, &program->expr, sizeof program->expr);
    const char *text = clv_program_text_of(&program->expr, arena);
    node->op_type = text != NULL ? clv_arena_printf(arena, "[%s]", text) : NULL;
    node->num_inputs = program->num_inputs;
    node->attrs = NULL;
    node->num_attrs = 0;
    if (node->inputs == NULL || node->params == NULL || node->op_type == NULL) {
        return CLV_NO_ARENA("a joined operator");
    }
    return NULL;
}
