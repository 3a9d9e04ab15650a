/// <reference types="tree-sitter-cli/dsl" />
// The grammar of docs/language.md §14. What ends a line is found by src/scanner.c.

// Words that are keywords only where a line or a stage begins; elsewhere they are names (§2).
const LINE_WORDS = [
  'model', 'block', 'use', 'let', 'input', 'output', 'param', 'buffer', 'macs', 'elementwise', 'dtype', 'expect',
  'weights', 'repeat', 'choose',
];

const PRECEDENCE = { conditional: 1, or: 2, and: 3, not: 4, compare: 5, sum: 6, term: 7, negate: 8, power: 9, postfix: 10 };

const list = (rule) => seq(rule, repeat(seq(',', rule)));
const listed = (rule) => optional(seq(list(rule), optional(',')));

module.exports = grammar({
  name: 'taper',
  word: ($) => $.identifier,
  externals: ($) => [$._newline, $._error],
  extras: ($) => [/[\s\uFEFF]/, $.comment],
  inline: ($) => [$._name],
  conflicts: ($) => [
    [$.list, $._dim],
    [$.list, $.shape],
    [$._primary, $.dtype_line],
    [$._primary, $.expectation],
    [$._primary, $.repeat],
    [$._primary, $.choose],
  ],

  rules: {
    file: ($) => repeat(choice($._newline, ';', $.use, $.model, $.block)),

    use: ($) => seq('use', field('path', $.string), optional(seq(':', list(field('name', $._name))))),
    model: ($) => seq('model', field('name', $._name), optional($.parameters), field('body', $.body)),
    block: ($) => seq('block', field('name', $._name), optional($.parameters), field('body', $.body)),
    parameters: ($) => seq('(', listed($.parameter), ')'),
    parameter: ($) => seq(field('name', $.path), optional(seq('=', field('default', $._expression)))),
    path: ($) => seq($._word, repeat(seq('.', $._word))),
    _word: ($) => choice($._name, $.integer),

    body: ($) => seq('{', repeat($._separator), repeat(seq($._line, repeat1($._separator))), optional($._line), '}'),
    _separator: ($) => choice($._newline, ';'),
    _line: ($) => choice($.model, $.block, $.let, $.input, $.output, $.param, $.buffer, $.stated, $.dtype_line,
      $.expectation, $.weights, $.step),

    let: ($) => seq('let', field('name', $._name), '=', field('value', $._expression)),
    input: ($) => seq('input', field('name', $._name), ':', field('type', $.type)),
    output: ($) => seq('output', field('name', $._name), ':', field('type', $.type)),
    param: ($) => seq('param', field('name', choice($.path, $.string)), ':', field('type', $.type)),
    buffer: ($) => seq('buffer', field('name', choice($.path, $.string)), ':', field('type', $.type)),
    stated: ($) => seq(choice('macs', 'elementwise'), '=', field('value', $._expression)),
    dtype_line: ($) => seq('dtype', $._expression),
    expectation: ($) => prec.dynamic(1, seq('expect', $._expression, optional(seq('at', list($.setting))),
      optional(seq('on', $.string)))),
    setting: ($) => seq(field('name', $._name), '=', field('value', $._expression)),
    weights: ($) => seq('weights', field('path', $.string), optional(seq('under', $.string)),
      optional(seq('for', $.path))),

    type: ($) => seq(optional(field('dtype', $.identifier)), $.shape),
    shape: ($) => prec.dynamic(1, seq('[', listed($._dim), ']')),
    _dim: ($) => choice($.rest, $.dim_default, $._expression),
    dim_default: ($) => seq(field('name', $._name), '=', field('value', $._expression)),
    rest: () => '...',

    step: ($) => seq(optional(seq(field('labels', $.labels), ':')), $._flow),
    labels: ($) => list($._expression),
    _flow: ($) => seq(choice($._stage, $.sources), repeat(seq('->', choice($._stage, $._postfix)))),
    sources: ($) => list($._expression),
    _stage: ($) => choice($.body, $.shape, $.repeat, $.for, $.if, $.choose),
    repeat: ($) => prec.dynamic(1, seq('repeat', field('count', $._expression), $.body)),
    for: ($) => seq('for', field('targets', $.targets), 'in', field('values', $._expression), $.body),
    targets: ($) => list($._target),
    _target: ($) => choice($._name, seq('(', list($._target), ')')),
    if: ($) => seq('if', field('condition', $._expression), $.body,
      repeat(seq('else', 'if', field('condition', $._expression), $.body)), optional(seq('else', $.body))),
    choose: ($) => prec.dynamic(1, seq('choose', field('chosen', $._expression), 'of', field('count', $._expression),
      optional('stacked'), $.body)),

    _expression: ($) => choice($.conditional, $.binary, $.not, $.negation, $._postfix),
    conditional: ($) => prec.right(PRECEDENCE.conditional,
      seq($._expression, 'if', $._expression, 'else', $._expression)),
    not: ($) => prec(PRECEDENCE.not, seq('not', $._expression)),
    negation: ($) => prec(PRECEDENCE.negate, seq('-', $._expression)),
    binary: ($) => choice(
      ...[
        [PRECEDENCE.or, 'or'],
        [PRECEDENCE.and, 'and'],
        [PRECEDENCE.compare, choice('==', '!=', '<', '<=', '>', '>=', 'in', seq('not', 'in'))],
        [PRECEDENCE.sum, choice('+', '-')],
        [PRECEDENCE.term, choice('*', '/', '//', '%', '@')],
      ].map(([level, operator]) => prec.left(level, seq($._expression, field('operator', operator), $._expression))),
      prec.right(PRECEDENCE.power, seq($._expression, field('operator', '**'), $._expression)),
    ),

    _postfix: ($) => choice($._primary, $.field, $.call, $.index),
    field: ($) => prec(PRECEDENCE.postfix, seq($._postfix, '.', field('name', choice($._word, '*')))),
    call: ($) => prec(PRECEDENCE.postfix, seq(field('function', $._postfix), '(', listed($._argument), ')')),
    index: ($) => prec(PRECEDENCE.postfix, seq($._postfix, '[', listed($._index), ']')),
    _argument: ($) => choice($.argument, $._expression),
    argument: ($) => seq(field('name', $._name), '=', field('value', $._expression)),
    _index: ($) => choice($.rest, $._expression, $.slice),
    slice: ($) => seq(optional($._expression), repeat1(seq(':', optional($._expression)))),
    _primary: ($) => choice($._name, $.integer, $.float, $.magnitude, $.string, $.boolean, $.none, $.it, $.paren, $.list),
    paren: ($) => seq('(', $._expression, ')'),
    list: ($) => choice(
      seq('[', listed($._expression), ']'),
      seq('(', $._expression, ',', listed($._expression), ')'),
    ),

    boolean: () => choice('true', 'false'),
    none: () => 'none',
    it: () => 'it',
    _name: ($) => choice($.identifier, ...LINE_WORDS.map((word) => alias(word, $.identifier))),
    identifier: () => /[A-Za-z_][A-Za-z0-9_]*/,
    integer: () => /[0-9][0-9_]*/,
    float: () => token(choice(
      /[0-9][0-9_]*\.[0-9][0-9_]*([eE][+-]?[0-9][0-9_]*)?/,
      /[0-9][0-9_]*[eE][+-]?[0-9][0-9_]*/,
    )),
    // `1e5` is a float, as that stands before.
    magnitude: () => /[0-9][0-9_]*(\.[0-9][0-9_]*)?[A-Za-z][A-Za-z0-9]*/,

    string: ($) => seq('"', repeat(choice($._text, $.escape, $.interpolation)), token.immediate('"')),
    // Braces with nothing in them compute nothing.
    _text: () => token.immediate(prec(1, /([^"\\{\r\n]|\{[ \t]*\})+/)),
    escape: () => token.immediate(choice(/\\[^\r\n]/, '{{')),
    interpolation: ($) => seq(token.immediate('{'), $._expression, '}'),

    comment: () => token(/#[^\r\n]*/),
  },
});
