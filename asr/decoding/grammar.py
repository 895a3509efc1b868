r"""Regular grammars of sentences: JSGF text -> a deterministic automaton over bytes.

A grammar is JSGF (`#JSGF V1.0; grammar g; public <g> = ...;`) or the right-hand side of one rule:
words, "quoted words", alternatives `|`, groups `()`, options `[]`, repetition `*` and `+`, rule
references `<name>`. Tags `{...}` and comments are skipped. Weights, imports and recursion are
refused: the first two would be ignored silently, the last is not regular.

The automaton reads a sentence word by word, each followed by one space.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

_TOKEN = re.compile(
    r"\s+|//[^\n]*|/\*.*?\*/|\{[^{}]*\}"  # skipped: space, comments, tags
    r'|(?P<rule><[^<>\s]+>)|(?P<quoted>"[^"]*")|(?P<operator>[|()\[\]*+=;/])'
    r'|(?P<word>[^\s|()\[\]*+=;/<>{}"]+)',
    re.DOTALL,
)
_MAX_STATES = 1_000_000


class Automaton(NamedTuple):
    """A deterministic automaton over bytes; state 0 is the start.

    Attributes:
        arcs: (state, byte, next state).
        accepting: one flag per state.
    """

    arcs: list[tuple[int, int, int]]
    accepting: list[bool]


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


@dataclass
class _Network:
    """A network of states joined by bytes, or by nothing; built left to right."""

    empty_arcs: list[list[int]] = field(default_factory=list)
    byte_arcs: list[list[tuple[int, int]]] = field(default_factory=list)

    def new_state(self) -> int:
        if len(self.empty_arcs) >= _MAX_STATES:
            raise ValueError(f"grammar must have at most {_MAX_STATES} states")
        self.empty_arcs.append([])
        self.byte_arcs.append([])
        return len(self.empty_arcs) - 1

    def add_word(self, start: int, word: str) -> int:
        for byte in f"{word} ".encode():
            end = self.new_state()
            self.byte_arcs[start].append((byte, end))
            start = end
        return start

    def closure(self, states: set[int]) -> frozenset[int]:
        """All states that can be reached by empty arcs."""
        reached = set(states)
        pending = list(states)
        while pending:
            for state in self.empty_arcs[pending.pop()]:
                if state not in reached:
                    reached.add(state)
                    pending.append(state)
        return frozenset(reached)


def compile_grammar(text: str) -> Automaton:
    """Compile a grammar.

    Args:
        text: JSGF, or the right-hand side of one rule.

    Returns:
        The automaton of its sentences.

    Raises:
        ValueError: the text departs from the subset; the message begins "grammar:line: ".
    """
    network = _Network()
    start = network.new_state()
    parser = _Parser(text, network)
    end = parser.expand(parser.main, start)
    return _determinise(network, start, end)


def _determinise(network: _Network, start: int, end: int) -> Automaton:
    first = network.closure({start})
    numbers = {first: 0}
    pending = [first]
    arcs: list[tuple[int, int, int]] = []
    accepting = [end in first]
    while pending:
        states = pending.pop()
        followers: dict[int, set[int]] = {}
        for state in states:
            for byte, following in network.byte_arcs[state]:
                followers.setdefault(byte, set()).add(following)
        for byte, following in sorted(followers.items()):
            closure = network.closure(following)
            if closure not in numbers:
                if len(numbers) >= _MAX_STATES:
                    raise ValueError(f"grammar must have at most {_MAX_STATES} states")
                numbers[closure] = len(numbers)
                accepting.append(end in closure)
                pending.append(closure)
            arcs.append((numbers[states], byte, numbers[closure]))
    return Automaton(arcs, accepting)


class _Parser:
    """Recursive descent over the right-hand sides, writing into the network as it goes.

    A rule is expanded afresh wherever it is referred to, which is what makes the language regular.
    """

    def __init__(self, text: str, network: _Network) -> None:
        self._text = text
        self._network = network
        self._rules: dict[str, list[_Token]] = {}
        self._tokens: list[_Token] = []
        self._next = 0
        self._open_rules: list[str] = []
        self.main = self._read_rules()

    def expand(self, rule: str, start: int) -> int:
        """Append the language of a rule to a state; returns where it ends."""
        if rule in self._open_rules:
            self._fail(f"rule {rule} must not refer to itself", self._peek())
        outer = self._tokens, self._next
        self._open_rules.append(rule)
        self._tokens, self._next = self._rules[rule], 0
        end = self._alternatives(start)
        if self._peek().kind != "end":
            self._fail(f"unexpected '{self._peek().text}'", self._peek())
        self._open_rules.pop()
        self._tokens, self._next = outer
        return end

    def _read_rules(self) -> str:
        body = self._text.lstrip("\ufeff \t\r\n")
        if not body.startswith("#JSGF"):
            self._rules["<main>"] = [*self._scan(0), _Token("end", "end", len(self._text))]
            return "<main>"
        position = self._text.index("#JSGF")
        statements: list[list[_Token]] = [[]]
        for token in self._scan(self._after_header(position)):
            if token.text == ";" and token.kind == "operator":
                statements[-1].append(_Token("end", ";", token.position))
                statements.append([])
            else:
                statements[-1].append(token)
        if statements.pop():
            self._fail("the last statement must end with ';'", None)
        public = [rule for rule in map(self._read_statement, statements) if rule]
        if len(public) != 1:
            self._fail(f"there must be one public rule, got {len(public)}", None)
        return public[0]

    def _after_header(self, position: int) -> int:
        end = self._text.find(";", position)
        if end < 0:
            self._fail("the #JSGF line must end with ';'", None)
        return end + 1

    def _read_statement(self, statement: list[_Token]) -> str | None:
        """Store a rule; returns its name when it is public."""
        words = [token.text for token in statement]
        if words[:1] == ["grammar"]:
            return None
        is_public = words[:1] == ["public"]
        tokens = statement[is_public:]
        if len(tokens) < 3 or tokens[0].kind != "rule" or tokens[1].text != "=":
            self._fail("expected '<rule> = ...;'", statement[0])
        name = tokens[0].text
        if name in self._rules:
            self._fail(f"rule {name} is defined twice", tokens[0])
        self._rules[name] = tokens[2:]
        return name if is_public else None

    def _scan(self, position: int) -> list[_Token]:
        tokens = []
        while position < len(self._text):
            match = _TOKEN.match(self._text, position)
            if match is None:
                bad = _Token("", self._text[position], position)
                self._fail(f"unexpected '{bad.text}'", bad)
            if match.lastgroup:
                tokens.append(_Token(match.lastgroup, match.group(), position))
            position = match.end()
        return tokens

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _alternatives(self, start: int) -> int:
        end = self._network.new_state()
        while True:
            self._network.empty_arcs[self._sequence(start)].append(end)
            if self._peek().text != "|":
                return end
            self._take()

    def _sequence(self, start: int) -> int:
        first = self._peek()
        while self._starts_item(self._peek()):
            start = self._repeated(start)
        if self._peek() is first:
            self._fail(f"expected a word, rule or group before '{first.text}'", first)
        return start

    @staticmethod
    def _starts_item(token: _Token) -> bool:
        return token.kind in ("rule", "quoted", "word") or token.text in ("(", "[")

    def _repeated(self, start: int) -> int:
        arcs = self._network.empty_arcs
        entry = self._network.new_state()
        arcs[start].append(entry)
        leave = self._network.new_state()
        arcs[self._item(entry)].append(leave)
        while self._peek().kind == "operator" and self._peek().text in "*+":
            arcs[leave].append(entry)
            if self._take().text == "*":
                arcs[entry].append(leave)
        return leave

    def _item(self, start: int) -> int:
        token = self._take()
        if token.kind == "rule":
            if token.text not in self._rules:
                self._fail(f"rule {token.text} is not defined", token)
            return self.expand(token.text, start)
        if token.kind == "word":
            return self._network.add_word(start, token.text)
        if token.kind == "quoted":
            for word in token.text.strip('"').split():
                start = self._network.add_word(start, word)
            return start
        end = self._alternatives(start)
        closing = ")" if token.text == "(" else "]"
        if self._take().text != closing:
            self._fail(f"'{token.text}' must be closed by '{closing}'", token)
        if token.text == "[":
            self._network.empty_arcs[start].append(end)
        return end

    def _fail(self, message: str, token: _Token | None) -> NoReturn:
        position = len(self._text) if token is None else token.position
        line = self._text.count("\n", 0, position) + 1
        raise ValueError(f"grammar:{line}: {message}")
