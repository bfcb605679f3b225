"""PromQL text -> syntax tree, by precedence climbing. The whole language of Prometheus 3, experiments included.

The grammar follows the documentation of Prometheus; nesting and length are bounded, so no input can exhaust the stack.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.errors import QuerySyntaxError
from workbench.query.promql import check, nodes, text
from workbench.query.promql.durations import Durations
from workbench.query.promql.lexer import AGGREGATORS, Token, tokenize
from workbench.query.promql.matcher import Matcher, check_pattern
from workbench.query.promql.nodes import Matching, Node, Range, Selector, Subquery
from workbench.query.promql.tokens import Tokens

MAX_LENGTH = 100_000
"""Longest expression in characters."""

MAX_DEPTH = 128
"""Deepest nesting: five calls of this parser a level stay well below Python's 1,000.

An operator in a chain counts as a level, as the tree leans on its left side."""

_METRIC_WORDS = frozenset(AGGREGATORS) | {
    "and", "or", "unless", "by", "without", "offset", "start", "end", "step", "range", "anchored", "smoothed", "fill",
    "fill_left", "fill_right", "min_of", "max_of",
}  # fmt: skip
_CALLABLE_WORDS = ("start", "end", "step", "range", "min_of", "max_of")
_MATCH_OPERATORS = ("=", "!=", "=~", "!~")


def parse(expr: str) -> Node:
    """Parse an expression. Raises QuerySyntaxError, whose `position` is the 0-based character of the trouble."""
    if len(expr) > MAX_LENGTH:
        raise QuerySyntaxError(
            f"an expression may have {MAX_LENGTH} characters, this has {len(expr)}", position=MAX_LENGTH
        )
    try:
        expr.encode()
    except UnicodeEncodeError as error:
        raise QuerySyntaxError("the expression is not valid Unicode", position=error.start) from None
    parser = _Parser(Tokens(tokenize(expr)))
    if parser.tokens.peek.kind == "eof":
        raise QuerySyntaxError("no expression found in input", position=0, hint="Try a metric name, e.g. up.")
    node = parser.expression()
    if parser.tokens.peek.kind != "eof":
        raise parser.tokens.unexpected("", "an operator or the end")
    return node


class _Parser:
    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.durations = Durations(tokens, self.deeper)
        self.depth = 0
        self.any_selector = False  # inside info(), where a selector may be empty

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise QuerySyntaxError(
                f"the expression is nested deeper than {MAX_DEPTH} levels", position=self.tokens.peek.start
            )

    def expression(self, lowest: int = 1) -> Node:
        """An expression whose operators bind at least as tightly as `lowest`."""
        entered = self.depth
        self.deeper()
        left = self.operand()
        while (binding := nodes.PRECEDENCE.get(self.tokens.peek.kind, 0)) >= lowest:
            self.deeper()
            operator = self.tokens.take()
            returns_bool = self.tokens.accept("bool") is not None
            matching = self.matching()
            right = self.expression(binding if operator.kind == "^" else binding + 1)
            check.binary(operator, left, right, returns_bool, matching)
            vectors = left.type == right.type == nodes.VECTOR
            left = nodes.Binary(
                operator.kind,
                left,
                right,
                nodes.SCALAR if left.type == right.type == nodes.SCALAR else nodes.VECTOR,
                returns_bool,
                matching if vectors else None,
                (left.span[0], right.span[1]),
            )
        self.depth = entered
        return left

    def operand(self) -> Node:
        sign = self.tokens.accept("+", "-")
        if sign:
            inner = self.expression(nodes.PRECEDENCE["^"])
            span = (sign.start, inner.span[1])
            if isinstance(inner, nodes.Number):
                return nodes.Number(-inner.value if sign.kind == "-" else inner.value, span)
            if inner.type not in (nodes.SCALAR, nodes.VECTOR):
                raise QuerySyntaxError(
                    "unary expression only allowed on expressions of type scalar or instant vector",
                    position=sign.start,
                )
            return nodes.Unary(sign.kind, inner, span)
        node = self.primary()
        while self.tokens.peek.kind in ("[", "offset", "@", "anchored", "smoothed"):
            node = self.modified(node)
        return node

    def primary(self) -> Node:
        token = self.tokens.take()
        if token.kind == "(":
            inner = self.expression()
            closing = self.tokens.expect("paren expression", ")")
            return nodes.Paren(inner, (token.start, closing.end))
        if token.kind in ("number", "duration"):
            return nodes.Number(self.durations.seconds(token), (token.start, token.end))
        if token.kind == "string":
            return nodes.Text(text.unquote(token.text, token.start, any_bytes=True), (token.start, token.end))
        after = self.tokens.peek.kind
        if token.kind in AGGREGATORS and after in ("(", "by", "without"):
            return self.aggregation(token)
        if after == "(" and (token.kind == "identifier" or token.kind in _CALLABLE_WORDS):
            outer, self.any_selector = self.any_selector, token.text == "info"
            args, end = self.arguments()
            self.any_selector = outer
            # Keywords may be written in capitals, names of functions may not.
            name = token if token.kind == "identifier" else replace(token, text=token.kind)
            return nodes.Call(name.text, tuple(args), check.call(name, args), (token.start, end))
        if token.kind == "{" or token.kind in ("identifier", "metric") or token.kind in _METRIC_WORDS:
            return self.selector(token)
        self.tokens.back()
        raise self.tokens.unexpected("", "an expression")

    def aggregation(self, operator: Token) -> Node:
        labels, without, end = self.grouping()
        args, closing = self.arguments()
        if end < 0:
            labels, without, end = self.grouping()
        check.aggregation(operator, args)
        span = (operator.start, max(end, closing))
        parameter = args[0] if len(args) == 2 else None
        return nodes.Aggregation(operator.kind, args[-1], parameter, labels, without, span)

    def grouping(self) -> tuple[tuple[str, ...], bool, int]:
        clause = self.tokens.accept("by", "without")
        if not clause:
            return (), False, -1
        labels, end = self.label_list()
        return labels, clause.kind == "without", end

    def label_list(self) -> tuple[tuple[str, ...], int]:
        self.tokens.expect("grouping opts", "(")
        labels: list[str] = []
        while not (closing := self.tokens.accept(")")):
            token = self.tokens.take()
            if token.kind == "string":
                labels.append(text.unquote(token.text, token.start))
            elif token.kind == "identifier" or text.label_name(token.text):
                labels.append(token.text)
            else:
                self.tokens.back()
                raise self.tokens.unexpected("grouping opts", "label")
            if self.tokens.peek.kind != ")":
                self.tokens.expect("grouping opts", ",", ")")
        return tuple(labels), closing.end

    def arguments(self) -> tuple[list[Node], int]:
        self.tokens.expect("aggregation", "(")
        args: list[Node] = []
        closing = self.tokens.accept(")")
        while not closing:
            args.append(self.expression())
            closing = self.tokens.accept(")")
            if not closing:
                comma = self.tokens.expect("call", ",", ")")
                if self.tokens.peek.kind == ")":
                    raise QuerySyntaxError("trailing commas not allowed in function call args", position=comma.start)
        return args, closing.end

    def matching(self) -> Matching:
        clause = self.tokens.accept("on", "ignoring")
        labels: tuple[str, ...] = ()
        include: tuple[str, ...] = ()
        group = ""
        if clause:
            labels, _ = self.label_list()
            grouped = self.tokens.accept("group_left", "group_right")
            if grouped:
                group = grouped.kind.removeprefix("group_")
                include = self.label_list()[0] if self.tokens.peek.kind == "(" else ()
        left = right = None
        while fill := self.tokens.accept("fill", "fill_left", "fill_right"):
            self.tokens.expect("fill", "(")
            value = self.durations.signed_number("fill")
            self.tokens.expect("fill", ")")
            left = left if fill.kind == "fill_right" else value
            right = right if fill.kind == "fill_left" else value
        return Matching(clause is not None and clause.kind == "on", labels, group, include, left, right)

    def selector(self, token: Token) -> Selector:
        start, end = token.start, token.end
        matchers: list[Matcher] = []
        name = "" if token.kind == "{" else token.text
        brace = token if token.kind == "{" else self.tokens.accept("{")
        if brace:
            while not (closing := self.tokens.accept("}")):
                matchers.append(self.matcher())
                if self.tokens.peek.kind != "}":
                    self.tokens.expect("label matching", ",", "}")
            end = closing.end
        if name:
            twice = next((m for m in matchers if m.label == "__name__"), None)
            if twice:
                raise QuerySyntaxError(
                    f"metric name must not be set twice: {name!r} or {twice.value!r}", position=twice.span[0]
                )
            matchers.insert(0, Matcher("__name__", "=", name, (token.start, token.end)))
        if not self.any_selector and all(matcher.matches_empty() for matcher in matchers):
            raise QuerySyntaxError(
                "vector selector must contain at least one non-empty matcher", position=start, hint='E.g. {job=~".+"}.'
            )
        return Selector(tuple(matchers), span=(start, end))

    def matcher(self) -> Matcher:
        token = self.tokens.take()
        if token.kind not in ("identifier", "string"):
            self.tokens.back()
            raise self.tokens.unexpected("label matching", "identifier or '}'")
        label = text.unquote(token.text, token.start) if token.kind == "string" else token.text
        if token.kind == "string" and self.tokens.peek.kind in (",", "}"):
            return Matcher("__name__", "=", label, (token.start, token.end))
        operator = self.tokens.accept(*_MATCH_OPERATORS)
        if not operator:
            raise self.tokens.unexpected("label matching", "label matching operator")
        literal = self.tokens.expect("label matching", "string")
        value = text.unquote(literal.text, literal.start)
        if "~" in operator.kind:
            check_pattern(value, literal.start)
        return Matcher(label, operator.kind, value, (token.start, literal.end))

    def modified(self, node: Node) -> Node:
        token = self.tokens.take()
        if token.kind == "[":
            return self.ranged(node, token)
        if token.kind in ("anchored", "smoothed"):
            return self.extended(node, token)
        if not isinstance(node, (Selector, Range, Subquery)):
            name = "offset modifier" if token.kind == "offset" else "@ modifier"
            raise QuerySyntaxError(
                f"{name} must be preceded by an instant vector selector or range vector selector or a subquery",
                position=token.start,
            )
        when = node.selector.when if isinstance(node, Range) else node.when
        when = self.durations.offset(when, token) if token.kind == "offset" else self.durations.at(when, token)
        end = self.tokens.last.end
        if isinstance(node, Range):
            return replace(node, selector=replace(node.selector, when=when), span=(node.span[0], end))
        return replace(node, when=when, span=(node.span[0], end))

    def ranged(self, node: Node, bracket: Token) -> Node:
        duration = self.durations.duration("range or subquery", positive=True)
        colon = self.tokens.accept(":")
        if colon:
            step = None
            if self.tokens.peek.kind != "]":
                step = self.durations.duration("subquery selector", positive=True)
            closing = self.tokens.expect("subquery selector", "]")
            check.expect(node, nodes.VECTOR, "subquery")
            return Subquery(node, duration, step, span=(node.span[0], closing.end))
        closing = self.tokens.expect("subquery or range", ":", "]")
        if not isinstance(node, Selector):
            raise QuerySyntaxError("ranges only allowed for vector selectors", position=bracket.start)
        if node.when.offset is not None:
            raise QuerySyntaxError("no offset modifiers allowed before range", position=bracket.start)
        if node.when != nodes.NOW:
            raise QuerySyntaxError("no @ modifiers allowed before range", position=bracket.start)
        return Range(node, duration, (node.span[0], closing.end))

    def extended(self, node: Node, word: Token) -> Node:
        selector = node.selector if isinstance(node, Range) else node
        if not isinstance(selector, Selector):
            raise QuerySyntaxError(f"{word.kind} modifier is only for selectors", position=word.start)
        if selector.extension and selector.extension != word.kind:
            raise QuerySyntaxError("anchored and smoothed modifiers cannot be used together", position=word.start)
        selector = replace(selector, extension=word.kind)
        span = (node.span[0], word.end)
        return replace(node, selector=selector, span=span) if isinstance(node, Range) else replace(selector, span=span)
