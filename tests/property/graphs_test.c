/* Random graphs: after all passes they compute what they computed before, to rounding.
 *
 * A graph is drawn as text (tests/support/graph_text.h): elementwise operators, views through shape
 * arithmetic, convolutions with normalisations, identities, constants that fold. Both sides are
 * evaluated by references: one graph is inferred only, the other went through every pass.
 *
 *     TEST [SEED [NUM_GRAPHS]]     a failure prints the graph and its seed
 */
#include "host/base/memory.h"
#include "host/base/random.h"
#include "host/passes/evaluate.h"
#include "host/passes/passes.h"
#include "tests/support/graph_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_VALUES = 40, MAX_ELEMENTS = 4096 };

typedef struct drawn {
    clv_random random;
    clv_text text;
    clv_shape shapes[MAX_VALUES]; /* of values v0, v1, ... */
    int num_values, num_inputs;
    bool is_used[MAX_VALUES];
} drawn;

static int below(drawn *d, int bound) {
    return (int)clv_random_below(&d->random, (uint64_t)bound);
}

/* A value to read; what nobody read yet is preferred, so that graphs are deep. */
static int pick(drawn *d) {
    int value = below(d, d->num_values);
    if (d->is_used[value] || below(d, 2) == 0) {
        value = d->num_values - 1 - below(d, d->num_values < 3 ? d->num_values : 3);
    }
    d->is_used[value] = true;
    return value;
}

/* The next value has this shape; its number. */
static int add_value(drawn *d, const clv_shape *shape) {
    d->shapes[d->num_values] = *shape;
    return d->num_values++;
}

static void add_dims(drawn *d, const clv_shape *shape) {
    for (int i = 0; i < shape->rank; i++) {
        clv_text_add(&d->text, "%s%" PRId64, i == 0 ? "" : ",", shape->dims[i]);
    }
}

/* The dimensions of a constant of one element, at times more than those of the value beside it,
 * which it then gives leading ones. */
static const char *draw_ones(drawn *d, clv_shape *shape) {
    static const char *const dims[] = {"", "1", "1,1", "1,1,1", "1,1,1,1", "1,1,1,1,1"};
    const int bound = shape->rank < 5 && below(d, 3) == 0 ? shape->rank + 2 : 2;
    const int rank = below(d, bound);
    if (rank > shape->rank) {
        memmove(&shape->dims[1], &shape->dims[0], (size_t)shape->rank * sizeof shape->dims[0]);
        shape->dims[0] = 1;
        shape->rank++;
    }
    return dims[rank];
}

static void draw_unary(drawn *d) {
    static const char *const ops[] = {"Relu", "Neg",      "Abs",     "Tanh", "Sigmoid",  "Sin",
                                      "Erf",  "Identity", "Dropout", "Sum",  "Softplus", "Sqrt"};
    const char *op = ops[below(d, sizeof ops / sizeof ops[0])];
    int a = pick(d), v = add_value(d, &d->shapes[a]);
    if (strcmp(op, "Sqrt") == 0) {
        /* not of 0, where what is all rounding (the tail of GELU) would be large */
        clv_text_add(&d->text, "constant c%d f32[]{0.01}\na%d = Abs(v%d)\n", v, v, a);
        clv_text_add(&d->text, "p%d = Add(a%d, c%d)\nv%d = Sqrt(p%d)\n", v, v, v, v, v);
    } else if (strcmp(op, "Sin") == 0) { /* a large angle is all rounding */
        clv_text_add(&d->text, "p%d = Tanh(v%d)\nv%d = Sin(p%d)\n", v, a, v, v);
    } else {
        clv_text_add(&d->text, "v%d = %s(v%d)\n", v, op, a);
    }
}

static void draw_cast(drawn *d) {
    int a = pick(d), v = add_value(d, &d->shapes[a]);
    clv_text_add(&d->text, "v%d = Cast(v%d) to=1\n", v, a);
}

/* With a constant whose dimensions are the value's or 1, or a folded one. */
static void draw_binary(drawn *d) {
    static const char *const ops[] = {"Add", "Sub", "Mul", "Max", "Min", "Div"};
    const char *op = ops[below(d, 6)];
    const bool is_div = strcmp(op, "Div") == 0;
    int a = pick(d), v = add_value(d, &d->shapes[a]);
    clv_shape shape = d->shapes[a];
    for (int i = 0; i < shape.rank; i++) {
        shape.dims[i] = below(d, 2) == 0 ? 1 : shape.dims[i];
    }
    clv_text_add(&d->text, "constant c%d f32[", v);
    add_dims(d, &shape);
    clv_text_add(&d->text, is_div ? "]~0.5:2\n" : "]\n");
    bool is_folded = below(d, 2) == 0;
    if (is_folded) {
        clv_text_add(&d->text, "d%d = Tanh(c%d)\n", v, v);
    }
    clv_text_add(&d->text, "v%d = %s(v%d, %c%d)\n", v, op, a, is_folded ? 'd' : 'c', v);
}

/* Whole numbers of a graph input, moved, scaled and taken back by constants, and rounded behind
 * that: what is exact one by one stays exact. */
static void draw_whole(drawn *d) {
    const int a = below(d, d->num_inputs);
    clv_shape shape = d->shapes[a];
    const char *ones = draw_ones(d, &shape);
    const int v = add_value(d, &shape);
    clv_text *t = &d->text;
    d->is_used[a] = true;
    clv_text_add(
        t, "constant e%d f32[]{8}\nm%d = Mul(v%d, e%d)\nf%d = Floor(m%d)\n", v, v, a, v, v, v);
    if (below(d, 2) == 0) { /* far from 0, and back */
        clv_text_add(t, "constant c%d f32[%s]{%d}\n", v, ones, 1000000 + below(d, 1000));
        clv_text_add(t, "constant s%d f32[]{%s}\n", v, below(d, 2) == 0 ? "0.03" : "-0.07");
        clv_text_add(t, "g%d = Add(f%d, c%d)\nb%d = Sub(g%d, c%d)\n", v, v, v, v, v, v);
        clv_text_add(t, "v%d = Mul(b%d, s%d)\n", v, v, v);
        return;
    }
    clv_text_add(t, "constant c%d f32[%s]{%d}\n", v, ones, 3 + below(d, 400));
    clv_text_add(t, "g%d = Mul(f%d, c%d)\nh%d = Abs(g%d)\n", v, v, v, v, v);
    clv_text_add(t, "q%d = Div(h%d, c%d)\n", v, v, v);
    switch (below(d, 3)) {
    case 0:
        clv_text_add(t, "w%d = Floor(q%d)\n", v, v);
        break;
    case 1:
        clv_text_add(t, "i%d = Cast(q%d) to=7\nw%d = Cast(i%d) to=1\n", v, v, v, v);
        break;
    default:
        clv_text_add(t, "r%d = Round(q%d)\ni%d = Equal(q%d, r%d)\n", v, v, v, v, v);
        clv_text_add(t, "w%d = Cast(i%d) to=1\n", v, v);
        break;
    }
    clv_text_add(t, "v%d = Div(w%d, e%d)\n", v, v, v); /* as large as other values */
}

static void draw_same_shape_binary(drawn *d) {
    int a = pick(d), b = -1;
    for (int i = 0; i < d->num_values; i++) {
        b = clv_shape_equal(&d->shapes[i], &d->shapes[a]) && (b < 0 || below(d, 2)) ? i : b;
    }
    d->is_used[b] = true;
    int v = add_value(d, &d->shapes[a]);
    clv_text_add(&d->text, "v%d = %s(v%d, v%d)\n", v, below(d, 2) ? "Add" : "Mul", a, b);
}

static void draw_transpose(drawn *d) {
    int a = pick(d), axes[CLV_MAX_RANK];
    clv_shape shape = d->shapes[a];
    for (int i = 0; i < shape.rank; i++) {
        int j = below(d, i + 1);
        axes[i] = axes[j];
        axes[j] = i;
    }
    for (int i = 0; i < shape.rank; i++) {
        shape.dims[i] = d->shapes[a].dims[axes[i]];
    }
    int v = add_value(d, &shape);
    clv_text_add(&d->text, "v%d = Transpose(v%d) perm=[", v, a);
    for (int i = 0; i < shape.rank; i++) {
        clv_text_add(&d->text, "%s%d", i == 0 ? "" : ",", axes[i]);
    }
    clv_text_add(&d->text, "]\n");
}

static void draw_flatten(drawn *d) {
    int a = pick(d), axis = below(d, d->shapes[a].rank + 1);
    clv_shape shape = {.rank = 2};
    shape.dims[0] = clv_shape_product(&d->shapes[a], 0, axis);
    shape.dims[1] = clv_shape_product(&d->shapes[a], axis, d->shapes[a].rank);
    int v = add_value(d, &shape);
    clv_text_add(&d->text, "v%d = Flatten(v%d) axis=%d\n", v, a, axis);
}

/* [first dimension, -1] by way of Shape, Slice and Concat. */
static void draw_reshape(drawn *d) {
    int a = pick(d);
    clv_shape shape = {.rank = 2};
    shape.dims[0] = d->shapes[a].dims[0];
    shape.dims[1] = clv_shape_product(&d->shapes[a], 1, d->shapes[a].rank);
    if (shape.dims[0] == 0) {
        return;
    }
    int v = add_value(d, &shape);
    clv_text_add(
        &d->text,
        "s%d = Shape(v%d) start=0 end=1\n"
        "r%d = Constant() value_ints=[-1]\n"
        "t%d = Concat(s%d, r%d) axis=0\n"
        "v%d = Reshape(v%d, t%d)\n",
        v, a, v, v, v, v, v, a, v);
}

/* To the shape that another value of as many elements has. */
static void draw_reshape_like(drawn *d) {
    int a = pick(d), b = -1;
    for (int i = 0; i < d->num_values; i++) {
        bool fits = clv_shape_elements(&d->shapes[i]) == clv_shape_elements(&d->shapes[a]);
        b = fits && (b < 0 || below(d, 2)) ? i : b;
    }
    int v = add_value(d, &d->shapes[b]);
    clv_text_add(
        &d->text, "s%d = Shape(v%d)\nv%d = Reshape(v%d, s%d) allowzero=1\n", v, b, v, a, v);
}

static void draw_slice(drawn *d) {
    int a = pick(d), axis = below(d, d->shapes[a].rank);
    int extent = (int)d->shapes[a].dims[axis];
    int begin = below(d, extent + 1), end = below(d, 4) == 0 ? 1000 : below(d, extent + 1);
    clv_shape shape = d->shapes[a];
    int stop = end > extent ? extent : end;
    shape.dims[axis] = stop > begin ? stop - begin : 0;
    if (shape.dims[axis] == 0 && below(d, 10) != 0) {
        return; /* empty tensors now and then */
    }
    int v = add_value(d, &shape);
    clv_text_add(
        &d->text,
        "constant b%d i64[1]{%d}\nconstant e%d i64[1]{%d}\nconstant a%d i64[1]{%d}\n"
        "v%d = Slice(v%d, b%d, e%d, a%d)\n",
        v, begin, v, end, v, axis, v, a, v, v, v);
}

static void draw_concat(drawn *d) {
    int a = pick(d), axis = below(d, d->shapes[a].rank), count = 1 + below(d, 2);
    clv_shape shape = d->shapes[a];
    shape.dims[axis] *= count;
    if (clv_shape_elements(&shape) > MAX_ELEMENTS) {
        return;
    }
    int v = add_value(d, &shape);
    clv_text_add(&d->text, "v%d = Concat(v%d", v, a);
    for (int i = 1; i < count; i++) {
        clv_text_add(&d->text, ", v%d", a);
    }
    clv_text_add(&d->text, ") axis=%d\n", axis);
}

static void draw_reduce(drawn *d) {
    int a = pick(d), axis = below(d, d->shapes[a].rank);
    clv_shape shape = d->shapes[a];
    if (shape.dims[axis] == 0) {
        return; /* a mean of nothing is no number */
    }
    shape.dims[axis] = 1;
    int v = add_value(d, &shape);
    clv_text_add(
        &d->text, "constant a%d i64[1]{%d}\nv%d = ReduceMean(v%d, a%d) keepdims=1\n", v, axis, v, a,
        v);
}

static void draw_matmul(drawn *d) {
    int a = pick(d), columns = 1 + below(d, 6);
    clv_shape shape = d->shapes[a];
    if (shape.rank < 2) {
        return;
    }
    int64_t inner = shape.dims[shape.rank - 1];
    shape.dims[shape.rank - 1] = columns;
    int v = add_value(d, &shape);
    clv_text_add(
        &d->text, "constant m%d f32[%" PRId64 ",%d]~-0.5:0.5\nv%d = MatMul(v%d, m%d)\n", v, inner,
        columns, v, a, v);
}

/* A convolution, most often with a normalisation that can go into it. */
static void draw_conv(drawn *d) {
    int a = pick(d), is_transposed = below(d, 3) == 0;
    clv_shape shape = d->shapes[a];
    if (shape.rank < 3 || shape.rank > 4 || clv_shape_elements(&shape) == 0) {
        return;
    }
    int in_channels = (int)shape.dims[1], groups = in_channels % 2 == 0 ? 1 + below(d, 2) : 1;
    int channels = groups * (1 + below(d, 4));
    shape.dims[1] = channels;
    int v = add_value(d, &shape);
    const char *ones = shape.rank == 4 ? "1,1,1,1" : "1,1", *threes = shape.rank == 4 ? "3,3" : "3";
    clv_text_add(
        &d->text, "constant w%d f32[%d,%d,%s]~-0.4:0.4\nconstant b%d f32[%d]\n", v,
        is_transposed ? in_channels : channels, (is_transposed ? channels : in_channels) / groups,
        threes, v, channels);
    clv_text_add(&d->text, "n%d = %s(v%d, w%d", v, is_transposed ? "ConvTranspose" : "Conv", a, v);
    if (below(d, 2) == 0) {
        clv_text_add(&d->text, ", b%d", v);
    }
    clv_text_add(&d->text, ") pads=[%s] group=%d\n", ones, groups);
    clv_text_add(
        &d->text,
        "constant q%d f32[%d]~0.5:2\nconstant o%d f32[%d]\nconstant m%d f32[%d]\n"
        "constant u%d f32[%d]~0.1:3\nv%d = BatchNormalization(n%d, q%d, o%d, m%d, u%d)\n",
        v, channels, v, channels, v, channels, v, channels, v, v, v, v, v, v);
}

/* Layer or RMS normalisation written out; sometimes what lies between is read elsewhere. */
static void draw_norm(drawn *d) {
    int a = pick(d), is_rms = below(d, 3) == 0;
    clv_shape shape = d->shapes[a];
    if (clv_shape_elements(&shape) == 0) {
        return;
    }
    const char *ones = draw_ones(d, &shape);
    int columns = (int)shape.dims[shape.rank - 1], v = add_value(d, &shape);
    clv_text *t = &d->text;
    clv_text_add(t, "constant x%d i64[1]{-1}\nconstant e%d f32[%s]{0.1}\n", v, v, ones);
    clv_text_add(t, "constant g%d f32[%d]~0.5:2\nconstant h%d f32[%d]\n", v, columns, v, columns);
    if (is_rms) {
        clv_text_add(t, "d%d = Identity(v%d)\n", v, a);
    } else {
        clv_text_add(t, "u%d = ReduceMean(v%d, x%d) keepdims=1\n", v, a, v);
        clv_text_add(t, "d%d = Sub(v%d, u%d)\n", v, a, v);
    }
    clv_text_add(
        t, "q%d = Mul(d%d, d%d)\nk%d = ReduceMean(q%d, x%d) keepdims=1\n", v, v, v, v, v, v);
    clv_text_add(t, "s%d = Add(k%d, e%d)\nr%d = Sqrt(s%d)\n", v, v, v, v, v);
    if (below(d, 2) == 0) {
        clv_text_add(t, "n%d = Div(d%d, r%d)\n", v, v, v);
    } else {
        clv_text_add(t, "i%d = Reciprocal(r%d)\nn%d = Mul(i%d, d%d)\n", v, v, v, v, v);
    }
    clv_text_add(t, "m%d = Mul(n%d, g%d)\n", v, v, v);
    clv_text_add(t, below(d, 2) == 0 ? "v%d = Add(m%d, h%d)\n" : "v%d = Sub(m%d, q%d)\n", v, v, v);
}

/* GELU, swish or hard swish written out. */
static void draw_activation(drawn *d) {
    int a = pick(d), v = add_value(d, &d->shapes[a]);
    clv_text *t = &d->text;
    switch (below(d, 3)) {
    case 0:
        clv_text_add(t, "constant r%d f32[]{1.41421356}\nconstant o%d f32[]{1}\n", v, v);
        clv_text_add(t, "constant h%d f32[]{0.5}\nd%d = Div(v%d, r%d)\n", v, v, a, v);
        clv_text_add(t, "e%d = Erf(d%d)\np%d = Add(e%d, o%d)\n", v, v, v, v, v);
        clv_text_add(t, "m%d = Mul(v%d, p%d)\nv%d = Mul(m%d, h%d)\n", v, a, v, v, v, v);
        break;
    case 1:
        clv_text_add(t, "s%d = Sigmoid(v%d)\nv%d = Mul(v%d, s%d)\n", v, a, v, a, v);
        break;
    default:
        clv_text_add(t, "s%d = HardSigmoid(v%d) alpha=0.16666667 beta=0.5\n", v, a);
        clv_text_add(t, "v%d = Mul(s%d, v%d)\n", v, v, a);
        break;
    }
}

/* Attention of a value to itself, written out: with and without heads, scale, mask and transposes;
 * sometimes the scores are read elsewhere. */
static void draw_attention(drawn *d) {
    int a = pick(d);
    clv_shape shape = d->shapes[a];
    if ((shape.rank != 3 && shape.rank != 4) || clv_shape_elements(&shape) == 0) {
        return;
    }
    const bool by_row = shape.rank == 4 && below(d, 2) == 0;
    const bool out_by_row = shape.rank == 4 && below(d, 2) == 0, leaks = below(d, 6) == 0;
    const int rows = (int)shape.dims[by_row ? 1 : shape.rank - 2];
    clv_shape out = shape;
    if (by_row != out_by_row) {
        out.dims[1] = shape.dims[2];
        out.dims[2] = shape.dims[1];
    }
    const char *zero = out_by_row ? "" : draw_ones(d, &out);
    int v = add_value(d, &out);
    clv_text *t = &d->text;
    clv_text_add(
        t, by_row ? "q%d = Transpose(v%d) perm=[0,2,1,3]\n" : "q%d = Identity(v%d)\n", v, a);
    if (by_row && below(d, 2) == 0) {
        clv_text_add(t, "k%d = Transpose(v%d) perm=[0,2,3,1]\n", v, a);
    } else {
        const char *perm = shape.rank == 3 ? "0,2,1" : "0,1,3,2";
        clv_text_add(t, "k%d = Transpose(q%d) perm=[%s]\n", v, v, perm);
    }
    clv_text_add(t, "constant c%d f32[]{%s}\n", v, below(d, 2) == 0 ? "0.5" : "-1.5");
    clv_text_add(t, below(d, 2) == 0 ? "r%d = Mul(c%d, q%d)\n" : "r%d = Div(q%d, c%d)\n", v, v, v);
    clv_text_add(
        t, below(d, 2) == 0 ? "p%d = MatMul(r%d, k%d)\n" : "p%d = MatMul(q%d, k%d)\n", v, v, v);
    clv_text_add(t, below(d, 2) == 0 ? "s%d = Mul(p%d, c%d)\n" : "s%d = Identity(p%d)\n", v, v, v);
    clv_text_add(t, "constant m%d f32[%d,%d]\n", v, below(d, 2) == 0 ? rows : 1, rows);
    clv_text_add(t, below(d, 2) == 0 ? "a%d = Add(m%d, s%d)\n" : "a%d = Add(s%d, m%d)\n", v, v, v);
    clv_text_add(t, "constant g%d bool[%d]\nconstant f%d f32[]{-1e38}\n", v, rows, v);
    clv_text_add(
        t, below(d, 2) == 0 ? "y%d = Where(g%d, a%d, f%d)\n" : "y%d = Where(g%d, f%d, s%d)\n", v, v,
        v, v);
    const char *scores[] = {"p", "s", "a", "a", "y"};
    clv_text_add(t, "e%d = Softmax(%s%d) axis=-1\n", v, scores[below(d, 5)], v);
    if (out.rank != shape.rank || below(d, 3) == 0) {
        clv_text_add(t, "n%d = IsNaN(e%d)\nconstant z%d f32[%s]{0}\n", v, v, v, zero);
        clv_text_add(t, "w%d = Where(n%d, z%d, e%d)\n", v, v, v, v);
    } else {
        clv_text_add(t, "w%d = Identity(e%d)\n", v, v);
    }
    if (leaks) {
        clv_text_add(t, "l%d = Relu(s%d)\nu%d = MatMul(w%d, q%d)\n", v, v, v, v, v);
        clv_text_add(t, "b%d = ReduceMean(l%d)\no%d = Add(u%d, b%d)\n", v, v, v, v, v);
    } else {
        clv_text_add(t, "o%d = MatMul(w%d, q%d)\n", v, v, v);
    }
    clv_text_add(
        t, out_by_row ? "v%d = Transpose(o%d) perm=[0,2,1,3]\n" : "v%d = Identity(o%d)\n", v, v);
}

/* Attention of parts of one tensor, taken apart in every way that exporters have. */
static void draw_part_attention(drawn *d) {
    const int a = pick(d), form = below(d, 5);
    const clv_shape from = d->shapes[a];
    if (from.rank != 3 || clv_shape_elements(&from) == 0) {
        return;
    }
    const int batch = (int)from.dims[0], rows = (int)from.dims[1], channels = (int)from.dims[2];
    const int heads = channels % 2 == 0 ? 2 : 1, size = channels / heads, first = below(d, 3);
    const clv_shape out = {.rank = 4, .dims = {batch, rows, heads, size}};
    const int v = add_value(d, &out);
    clv_text *t = &d->text;
    clv_text_add(t, "n%d = Neg(v%d)\nh%d = Sigmoid(v%d)\n", v, a, v, a);
    clv_text_add(t, "t%d = Concat(v%d, n%d, h%d) axis=2\n", v, a, v, v);
    clv_text_add(t, "constant i%d i64[5]{%d,%d,3,%d,%d}\n", v, batch, rows, heads, size);
    clv_text_add(t, "f%d = Reshape(t%d, i%d)\nconstant z%d i64[1]{0}\n", v, v, v, v);
    clv_text_add(t, "constant j%d i64[4]{0,0,%d,%d}\n", v, heads, size);
    if (form == 0) {
        clv_text_add(t, "x0_%d, x1_%d, x2_%d = Split(t%d) axis=-1\n", v, v, v, v);
    } else if (form < 4) {
        const char *perm = form == 3 ? "2,0,1,3,4" : "2,0,3,1,4";
        clv_text_add(t, "g%d = Transpose(f%d) perm=[%s]\n", v, v, perm);
    }
    if (form == 1) {
        clv_text_add(t, "x0_%d, x1_%d, x2_%d = Split(g%d) axis=0\n", v, v, v, v);
    }
    for (int i = 0; i < 3; i++) {
        const int part = (first + i) % 3;
        if (form == 0) {
            clv_text_add(t, "y%d_%d = Reshape(x%d_%d, j%d)\n", i, v, part, v, v);
        } else if (form == 1) {
            clv_text_add(t, "w%d_%d = Squeeze(x%d_%d, z%d)\n", i, v, part, v, v);
        } else {
            clv_text_add(t, "constant k%d_%d i64[]{%d}\n", i, v, part - 3 * below(d, 2));
            clv_text_add(
                t, "%c%d_%d = Gather(%c%d, k%d_%d) axis=%d\n", form == 2 ? 'w' : 'y', i, v,
                form == 4 ? 'f' : 'g', v, i, v, form == 4 ? 2 : 0);
        }
        if (form != 1 && form != 2) {
            clv_text_add(t, "w%d_%d = Transpose(y%d_%d) perm=[0,2,1,3]\n", i, v, i, v);
        }
    }
    clv_text_add(
        t, "k%d = Transpose(w1_%d) perm=[0,1,3,2]\np%d = MatMul(w0_%d, k%d)\n", v, v, v, v, v);
    clv_text_add(t, "e%d = Softmax(p%d) axis=-1\no%d = MatMul(e%d, w2_%d)\n", v, v, v, v, v);
    clv_text_add(t, "v%d = Transpose(o%d) perm=[0,2,1,3]\n", v, v);
}

static void (*const kinds[])(drawn *d) = {
    draw_unary,          draw_unary,          draw_cast,
    draw_binary,         draw_binary,         draw_same_shape_binary,
    draw_flatten,        draw_reshape,        draw_slice,
    draw_concat,         draw_reduce,         draw_reshape_like,
    draw_matmul,         draw_transpose,      draw_conv,
    draw_conv,           draw_conv,           draw_norm,
    draw_activation,     draw_attention,      draw_attention,
    draw_part_attention, draw_part_attention, draw_whole,
};

static clv_status *draw_graph(uint64_t seed, char **out_text) {
    drawn d = {.num_values = 0};
    clv_random_init(&d.random, seed);
    clv_text_init(&d.text);
    const int num_inputs = 1 + below(&d, 2), num_nodes = 2 + below(&d, 24);
    d.num_inputs = num_inputs;
    for (int i = 0; i < num_inputs; i++) {
        clv_shape shape = {.rank = 2 + below(&d, 3)};
        for (int k = 0; k < shape.rank; k++) {
            shape.dims[k] = 1 + below(&d, 5);
        }
        clv_text_add(&d.text, "input v%d f32[", add_value(&d, &shape));
        add_dims(&d, &shape);
        clv_text_add(&d.text, "]\n");
    }
    for (int i = 0; i < num_nodes; i++) {
        kinds[below(&d, sizeof kinds / sizeof kinds[0])](&d);
    }
    clv_text_add(&d.text, "output");
    for (int i = 0; i < d.num_values; i++) {
        if (!d.is_used[i] || below(&d, 8) == 0) {
            clv_text_add(&d.text, " v%d", i);
        }
    }
    clv_text_add(&d.text, "\n");
    return clv_text_take(&d.text, out_text);
}

/* --- evaluation --- */

typedef struct results {
    const clv_graph *graph;
    double *values[MAX_VALUES]; /* by graph output */
    int64_t counts[MAX_VALUES];
} results;

static clv_status *keep(results *r, size_t index, const clv_view *view) {
    int64_t count = clv_shape_elements(&view->shape);
    double *values = clv_alloc(((size_t)count + 1) * sizeof *values);
    if (values == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for results");
    }
    for (int64_t i = 0; i < count; i++) {
        values[i] = clv_load_double(view->dtype, view->data, i);
    }
    clv_free(r->values[index]);
    r->values[index] = values;
    r->counts[index] = count;
    return NULL;
}

static clv_status *on_tensor(void *context, clv_tensor_id id, const clv_view *value) {
    results *r = context;
    for (size_t i = 0; i < r->graph->num_outputs; i++) {
        if (r->graph->outputs[i] == id) {
            CLV_TRY(keep(r, i, value));
        }
    }
    return NULL;
}

static clv_status *evaluate(const clv_graph *graph, uint64_t seed, results *r) {
    clv_view inputs[4];
    clv_arena arena;
    clv_random random;
    clv_status *status = NULL;
    r->graph = graph;
    clv_arena_init(&arena, 0);
    clv_random_init(&random, seed);
    for (size_t i = 0; i < graph->num_inputs; i++) {
        const clv_tensor *tensor = &graph->tensors[graph->inputs[i]];
        int64_t count = clv_shape_elements(&tensor->shape);
        float *data = clv_arena_alloc(&arena, (size_t)count, sizeof *data);
        if (data == NULL) {
            status = CLV_NO_ARENA("inputs");
            goto done;
        }
        for (int64_t k = 0; k < count; k++) {
            data[k] = (float)clv_random_normal(&random);
        }
        inputs[i] = (clv_view){.dtype = tensor->dtype, .shape = tensor->shape, .data = data};
    }
    for (size_t i = 0; i < graph->num_outputs; i++) { /* outputs that became constants */
        const clv_tensor *tensor = &graph->tensors[graph->outputs[i]];
        if (tensor->kind == CLV_TENSOR_CONSTANT) {
            clv_view view = {tensor->dtype, tensor->shape, tensor->data};
            CLV_TRY_DONE(keep(r, i, &view));
        }
    }
    CLV_TRY_DONE(clv_evaluate(graph, inputs, on_tensor, r));
done:
    clv_arena_deinit(&arena);
    return status;
}

/* Against the output's largest value: folded normalisations round elsewhere. */
static clv_status *compare(const clv_graph *graph, const results *want, const results *got) {
    for (size_t i = 0; i < graph->num_outputs; i++) {
        const char *name = graph->tensors[graph->outputs[i]].name;
        double largest = 2e-2; /* sums of normal numbers that cancel keep their rounding */
        if (want->values[i] == NULL || got->values[i] == NULL ||
            want->counts[i] != got->counts[i]) {
            return CLV_ERROR(MISMATCH, "output '%s' is missing or of another size", name);
        }
        for (int64_t k = 0; k < want->counts[i]; k++) {
            largest = fmax(largest, fabs(want->values[i][k]));
        }
        for (int64_t k = 0; k < want->counts[i]; k++) {
            double difference = fabs(want->values[i][k] - got->values[i][k]);
            if (!(difference <= 1e-4 * largest)) {
                return CLV_ERROR(
                    MISMATCH, "output '%s' is %g at %" PRId64 ", was %g", name, got->values[i][k],
                    k, want->values[i][k]);
            }
        }
    }
    return NULL;
}

typedef struct counts {
    size_t nodes_before, nodes_after;
} counts;

static clv_status *check_graph(const char *text, uint64_t seed, counts *total) {
    clv_graph *plain = NULL, *passed = NULL;
    results want = {NULL}, got = {NULL};
    clv_status *status = NULL;
    CLV_TRY_DONE(clv_test_graph_make(text, seed, &plain));
    CLV_TRY_DONE(clv_test_graph_make(text, seed, &passed));
    total->nodes_before += plain->num_nodes;
    CLV_TRY_DONE(clv_passes_infer(plain));
    CLV_TRY_DONE(clv_passes_run(passed, NULL, NULL));
    total->nodes_after += passed->num_nodes;
    for (size_t i = 0; i < plain->num_outputs; i++) {
        const char *name = plain->tensors[plain->outputs[i]].name;
        if (strcmp(name, passed->tensors[passed->outputs[i]].name) != 0) {
            status = CLV_ERROR(MISMATCH, "output '%s' has lost its name", name);
            goto done;
        }
    }
    CLV_TRY_DONE(evaluate(plain, seed, &want));
    CLV_TRY_DONE(evaluate(passed, seed, &got));
    CLV_TRY_DONE(compare(plain, &want, &got));
done:
    for (int i = 0; i < MAX_VALUES; i++) {
        clv_free(want.values[i]);
        clv_free(got.values[i]);
    }
    clv_graph_destroy(plain);
    clv_graph_destroy(passed);
    return status;
}

int main(int argc, char **argv) {
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    int num_graphs = argc > 2 ? atoi(argv[2]) : 3000;
    counts total = {0};
    for (int i = 0; i < num_graphs; i++, seed++) {
        char *text = NULL;
        clv_status *status = draw_graph(seed, &text);
        if (status == NULL) {
            status = check_graph(text, seed, &total);
        }
        if (status != NULL) {
            fprintf(
                stderr, "%s\nseed %" PRIu64 ": %s: %s\n%s", text != NULL ? text : "", seed,
                clv_code_name(clv_status_code(status)), clv_status_message(status),
                clv_status_trail(status));
            clv_status_destroy(status);
            clv_free(text);
            return 1;
        }
        clv_free(text);
    }
    printf(
        "%d graphs, %zu nodes before the passes, %zu after\n", num_graphs, total.nodes_before,
        total.nodes_after);
    return total.nodes_after >= total.nodes_before; /* the passes must have had something to do */
}
