"""Reads a page that the project wrote, as a browser without a network would."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Checks that tags close in order, and collects text and what would be fetched."""

    VOID = frozenset({"meta", "br", "link", "img", "input"})

    def __init__(self, html):
        super().__init__()
        self.open, self.fetched, self.texts = [], [], []
        self.sections = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        for key, value in attrs:
            if key in ("src", "href", "xlink:href") and not value.startswith(("#", "data:")):
                self.fetched.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1] == "h2":
            self.sections.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())
