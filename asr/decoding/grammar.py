r"""Regular grammars of sentences: JSGF text -> a deterministic automaton over bytes.

A grammar is JSGF (`#JSGF V1.0; grammar g; public <g> = ...;`) or the right-hand side of one rule:
words, "quoted words", alternatives `|`, groups `()`, options `[]`, repetition `*` and `+`, rule
references `<name>`. Tags `{...}` and comments are skipped. Weights, imports and recursion are
refused: the first two would be ignored silently, the last is not regular.

The automaton reads a sentence word by word, each followed by one space.
"""

import re
from array import array
from typing import NamedTuple, NoReturn

_TOKEN = re.compile(
    r"\s+|//[^\n]*|/\*.*?\*/|\{[^{}]*\}"  # skipped: space, comments, tags
    r'|(?P<rule><[^<>\s]+>)|(?P<quoted>"[^"]*")|(?P<operator>[|()\[\]*+=;/])'
    r'|(?P<word>[^\s|()\[\]*+=;/<>{}"]+)',
    re.DOTALL,
)
_MAX_STATES = 1_000_000
_MAX_WORK = 4_000_000  # states looked at to make the automaton deterministic
_MAX_DEPTH = 100  # of groups and rules within each other: each takes four calls of Python's


class Automaton(NamedTuple):
    """A deterministic automaton over bytes; state 0 is the start.

    Attributes:
        arcs: (state, byte, next state).
        accepting: one flag per state.
        words: the words of its sentences.
    """

    arcs: list[tuple[int, int, int]]
    accepting: list[bool]
    words: list[str]


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


class _Network:
    """A network of states joined by bytes, or by nothing; built left to right.

    At most one byte leaves a state, so that a state costs eight bytes and no object.
    """

    def __init__(self) -> None:
        self.byte = array("i")  # that leaves each state; -1: none does
        self.target = array("i")
        self.empty_arcs: dict[int, list[int]] = {}
        self.words: dict[str, None] = {}

    def new_state(self) -> int:
        if len(self.byte) >= _MAX_STATES:
            raise ValueError(f"grammar must have at most {_MAX_STATES} states, rules expanded")
        self.byte.append(-1)
        self.target.append(-1)
        return len(self.byte) - 1

    def join(self, start: int, end: int) -> None:
        self.empty_arcs.setdefault(start, []).append(end)

    def add_word(self, start: int, word: str) -> int:
        self.words[word] = None
        for byte in f"{word} ".encode():
            end = self.new_state()
            self.byte[start], self.target[start] = byte, end
            start = end
        return start

    def closure(self, states: set[int]) -> set[int]:
        """All states that can be reached by empty arcs."""
        reached = set(states)
        pending = list(states)
        while pending:
            for state in self.empty_arcs.get(pending.pop(), ()):
                if state not in reached:
                    reached.add(state)
                    pending.append(state)
        return reached


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
    """Follow sets of states at once; refuses what would take too long."""
    numbers: dict[frozenset[int], int] = {}
    pending: list[frozenset[int]] = []
    arcs: list[tuple[int, int, int]] = []
    num_seen = 0

    def number_of(states: set[int]) -> int:
        nonlocal num_seen
        reached = network.closure(states)
        num_seen += len(reached)
        # What no byte leaves makes no difference.
        kept = frozenset(s for s in reached if network.byte[s] >= 0 or s == end)
        if kept not in numbers:
            numbers[kept] = len(numbers)
            pending.append(kept)
        if num_seen > _MAX_WORK or len(numbers) > _MAX_STATES:
            raise ValueError("grammar must be simpler: too much of it can be read in several ways")
        return numbers[kept]

    number_of({start})
    while pending:
        states = pending.pop()
        followers: dict[int, set[int]] = {}
        for state in states:
            if network.byte[state] >= 0:
                followers.setdefault(network.byte[state], set()).add(network.target[state])
        source = numbers[states]
        arcs += [(source, byte, number_of(ends)) for byte, ends in sorted(followers.items())]
    return Automaton(arcs, [end in states for states in numbers], list(network.words))


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
        self._depth = 0
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
            self._network.join(self._sequence(start), end)
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
        entry = self._network.new_state()
        self._network.join(start, entry)
        leave = self._network.new_state()
        self._network.join(self._item(entry), leave)
        while self._peek().kind == "operator" and self._peek().text in "*+":
            self._network.join(leave, entry)
            if self._take().text == "*":
                self._network.join(entry, leave)
        return leave

    def _item(self, start: int) -> int:
        token = self._take()
        if token.kind == "word":
            return self._network.add_word(start, token.text)
        if token.kind == "quoted":
            for word in token.text.strip('"').split():
                start = self._network.add_word(start, word)
            return start
        if self._depth >= _MAX_DEPTH:
            self._fail(f"groups and rules must be nested at most {_MAX_DEPTH} deep", token)
        self._depth += 1
        end = self._rule(token, start) if token.kind == "rule" else self._group(token, start)
        self._depth -= 1
        return end

    def _rule(self, token: _Token, start: int) -> int:
        if token.text not in self._rules:
            self._fail(f"rule {token.text} is not defined", token)
        return self.expand(token.text, start)

    def _group(self, token: _Token, start: int) -> int:
        end = self._alternatives(start)
        closing = ")" if token.text == "(" else "]"
        if self._take().text != closing:
            self._fail(f"'{token.text}' must be closed by '{closing}'", token)
        if token.text == "[":
            self._network.join(start, end)
        return end

    def _fail(self, message: str, token: _Token | None) -> NoReturn:
        position = len(self._text) if token is None else token.position
        line = self._text.count("\n", 0, position) + 1
        raise ValueError(f"grammar:{line}: {message}")
