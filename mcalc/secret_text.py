"""What an address keeps secret, kept out of messages, logs and records.

    postgresql://ann:p@ss@db/mcalc?sslpassword=x   becomes   postgresql://ann:***@db/mcalc?...=***

Where an address may be read in two ways, the way that hides more is taken. Nothing here raises:
an address that no library understands is hidden as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"
ADDRESSES = ("storage", "tracking.uri")
"""Settings whose values are addresses, whatever they look like."""

_HARMLESS = re.compile(
    r"host(addr)?|port|dbname|database|user(name)?|uid|service|ssl(mode|rootcert|cert|key|_ca)|"
    r"sslcompression|sslnegotiation|(connect_)?timeout|tcp_user_timeout|application_name|charset|"
    r"client_encoding|target_session_attrs|load_balance_hosts|gssencmode|channel_binding|"
    r"keepalives(_\w+)?|mode|cache|uri|vfs|immutable|nolock|isolation_level|check_same_thread|"
    r"driver|unix_socket|server|region|prepare_threshold",
    re.I,
)
"""Parameters of addresses whose values are shown. Those of all others may be secret."""
_DATABASES = re.compile(r"(postgres(ql)?|mysql|mariadb|mssql|oracle|cockroachdb)(\+\w+)?", re.I)
"""Schemes whose lone user info is a user's name; elsewhere it is a token."""
_FILES = re.compile(r"(sqlite(\+\w+)?|file):///", re.I)
"""Addresses of files, which have no user; a path may hold any character."""

_SCHEME = re.compile(r"(?<![\w+.-])[A-Za-z][\w+.-]*:[/\\]{2,}")
_SETTING = re.compile(r"(?<![\w.])(?:storage|tracking\.uri)=(?=[^\s:;,)])")
_OPENED = re.compile(r"(['\"`])(?:[+~]*[\w.]+=)?$")
"""The quote that an address, or its setting, stands in."""
_OPENS = r"[\s,;'\"(\[{<=:]"
_PARAMETER = re.compile(r"[?&;][\w.%-]+=$")
_QUERY = re.compile(r"\?([^=&?]+=[^&]*(?:&[^=&]+=[^&]*)*)$", re.DOTALL)
_PLACE = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(:(\d{0,5}|PORT))?", re.DOTALL)
"""A host with its port."""
_KEY = re.compile(
    r"(?:(?<=^)|(?<=[\s;,&?#'\"({\[]))"
    r"((?:(?:(?<=^)|(?<=;))[A-Za-z][\w ]*?)|[A-Za-z_][\w.%-]*)\s*=\s*"
)
_SAYS_SECRET = (
    r"[\w.-]*(?:passw(?:or)?d|passphrase|passcode|pwd|secret|token|api[_-]?key|access[_-]?key|"
    r"private[_-]?key|credential|signature|authorization)[\w.-]*|(?<![\w.-])(?:sig|auth|jwt|pass)"
)
_ASSIGNED = re.compile(
    rf"(?<![\w.-])(({_SAYS_SECRET})['\"]?\s*(?:=|(?<=['\"])\s*:)\s*)"
    r"('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s&;,'\")\]}]+|[^\s&;]+)",
    re.I,
)
"""`password=x` in a text, `"token": "x"` in JSON."""
_HEADER = re.compile(r"(authorization['\"]?\s*[:=]\s*['\"]?(?:\w+\s+)?)[\w.~+/=-]+", re.I)
_BARE = re.compile(r"(?<![\w.+-])([\w.+-]+):([^\s@/:'\"]+)@(?=[\w\[])")
"""`user:password@host` without a scheme."""
_MAYBE = re.compile(rf"://|storage=|tracking\.uri=|:\\\\|@|{_SAYS_SECRET}", re.I)
_SHORTEST = 3
"""Characters of a secret that is looked for in other text; fewer are in every word."""

Piece = tuple[str, bool]
"""A part of an address, and whether it is secret."""


def without_password(address: str) -> str:
    """An address of a database or server as it may be printed and recorded.

    Of passwords, tokens, fragments and parameters that are not known to be harmless `***` is left.
    A comma list of addresses is taken as each of them; a path stays as it is.
    """
    return "".join(HIDDEN if secret else text for text, secret in _pieces(address))


def argument_shown(argument: str) -> str:
    """A command's argument (`storage=ADDRESS`) as messages quote it."""
    address = _address_of(argument)
    if not address:
        return hidden(argument)
    return argument.removesuffix(address) + without_password(address)


def addresses_of(arguments: Iterable[str]) -> list[str]:
    """The addresses that a command's arguments name."""
    return [address for each in arguments if (address := _address_of(each))]


def _address_of(argument: str) -> str:
    """The end of an argument that is an address; empty where there is none."""
    key, equals, value = argument.partition("=")
    if not equals or "://" in key:
        return argument if "://" in argument else ""
    named = key.strip("+~ '\"") in ADDRESSES
    return value if named or "://" in value or _BARE.match(value.lstrip("'\"([{ ")) else ""


def hidden(text: str, *addresses: str | None) -> str:
    """A text without what the addresses in it keep secret, nor what these `addresses` do.

    For errors of libraries, which repeat an address, or its password alone.
    """
    for address in addresses:
        if address:
            for pattern in _repeated(address):
                text = pattern.sub(HIDDEN, text)
    if not _MAYBE.search(text):
        return text
    found, at = [], 0
    for start, end in _addresses(text):
        found += [_prose(text[at:start]), without_password(text[start:end])]
        at = end
    return "".join([*found, _prose(text[at:])])


def _prose(text: str) -> str:
    text = _HEADER.sub(rf"\1{HIDDEN}", text)
    text = _ASSIGNED.sub(rf"\1{HIDDEN}", text)
    return _BARE.sub(rf"\1:{HIDDEN}@", text)


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    """Where addresses begin and end in a text: at white space, or at the quote before them."""
    starts = [match.start() for match in _SCHEME.finditer(text)]
    settings = [match.end() for match in _SETTING.finditer(text)]
    starts = sorted({*starts, *settings})
    at = 0
    for start, following in pairwise([*starts, len(text)]):
        if start >= at:
            at = _end(text, start, following)
            yield start, at


def _end(text: str, start: int, following: int) -> int:
    """Where the address that begins at `start` ends; `following`: where the next one begins."""
    opened = _OPENED.search(text[:start])
    if opened and (close := text.find(opened.group(1), start)) > 0:
        # a quote inside a password does not end its address
        last = text.rfind("@", start, following)
        end = close if last < close else text.find(opened.group(1), last)
        return end if end >= 0 else following
    space = re.search(r"\s", text[start:])
    end = start + space.start() if space else len(text)
    if space:
        end = start + len(text[start:end].rstrip(".,:;)]}>'\"`"))
    elif text[start:].endswith("`") and text[:start].count("`") % 2:
        end -= 1  # of a command that is quoted, as the last thing that is said
    line = text.find("\n", start)
    last = text.rfind("@", start, line if line >= 0 else len(text))
    cut_short = "@" not in text[start:end] and not _is_place(_authority(text[start:end]))
    if cut_short and end < last < following:
        space = re.search(r"\s", text[last:])  # white space inside a password
        end = last + space.start() if space else len(text)
    return end


def _pieces(address: str) -> Iterator[Piece]:
    starts = [
        match.start()
        for match in _SCHEME.finditer(address)
        if (match.start() == 0 or re.match(_OPENS, address[match.start() - 1]))
        and not _PARAMETER.search(address[: match.start()])
    ]
    if not starts or starts[0] > 0:
        lead = address[: starts[0]] if starts else address
        if "@" in lead or not starts:
            yield from _one("", lead)
        else:
            yield lead, False
    for start, end in pairwise([*starts, len(address)]):
        scheme = _SCHEME.match(address, start)
        assert scheme is not None
        yield from _one(scheme.group(), address[scheme.end() : end])


def _one(scheme: str, rest: str) -> Iterator[Piece]:
    """The pieces of one address; `scheme` with its slashes, or nothing."""
    yield scheme, False
    if _FILES.match(scheme):
        path, mark, query = rest.partition("?")
        yield from _pairs(path) if _KEY.match(path) else [(path, False)]
        yield mark, False
        yield from _parameters(query, lone_are_secret=False)
        return
    query = ""
    if (match := _QUERY.search(rest)) and _is_query(rest[: match.start()], match.group(1)):
        rest, query = rest[: match.start()], match.group()
    info, at, place = rest.rpartition("@")
    if not at and not scheme:
        yield from _without_scheme(place)
    elif at:
        yield from _user_info(scheme, info)
        yield at, False
        yield from _place(place)
    else:
        authority = _authority(scheme + place)
        if _is_place(authority):
            yield from _place(place)
        else:
            # a password whose host is missing, or a port that is none
            name, colon, secret = place.partition(":")
            yield from [(name + colon, False), (secret, True)]
    yield from _query(query)


def _user_info(scheme: str, info: str) -> Iterator[Piece]:
    # a quote or bracket before an address without a scheme
    lead = re.match(r"[\s'\"(\[{/\\]*", info)
    assert lead is not None
    yield lead.group(), False
    user, colon, password = info[lead.end() :].partition(":")
    served = scheme.lower().startswith("http")
    plain = re.fullmatch(r"[\w.%+-]{0,63}", user) is not None
    is_token = served and (not password or password == "x-oauth-basic" or len(user) > 20)
    if not colon:
        is_name = plain and _DATABASES.match(scheme) is not None
        yield user, not is_name
    elif plain and not is_token:
        yield from [(f"{user}:", False), (password, True)]
    else:
        yield from [(user, bool(user)), (":", False), (password, bool(password))]


def _place(place: str) -> Iterator[Piece]:
    """Hosts, path and what follows them."""
    before, mark, fragment = place.partition("#")
    path, question, query = before.partition("?")
    more = re.search(r"[;&]", path)
    split = more.end() if more else len(path)
    yield path[:split], False
    yield from _parameters(path[split:], lone_are_secret=True)
    yield from _query(question + query)
    closing = re.search(r"['\")\]}]*$", fragment)
    assert closing is not None
    yield mark, False
    if fragment[: closing.start()]:
        yield fragment[: closing.start()], True
    yield closing.group(), False


def _query(query: str) -> Iterator[Piece]:
    if query:
        yield "?", False
        yield from _parameters(query[1:], lone_are_secret=True)


def _parameters(query: str, *, lone_are_secret: bool) -> Iterator[Piece]:
    for part in re.split(r"([&;])", query):
        key, equals, value = part.partition("=")
        if not equals:
            lone = bool(part.strip("&;'\")]} ")) and lone_are_secret
            yield part, lone
            continue
        shown = _HARMLESS.fullmatch(unquote(key).strip()) is not None
        closing = re.search(r"['\")\]}]*$", value)
        assert closing is not None
        inner = value[: closing.start()]
        yield key + equals, False
        if shown and "#" in inner:
            inner, _, fragment = inner.partition("#")
            yield from [(f"{inner}#", False), (fragment, True)]
        else:
            yield inner, bool(inner) and not shown
        yield closing.group(), False


def _without_scheme(text: str) -> Iterator[Piece]:
    if _KEY.search(text):
        yield from _pairs(text)
    elif re.match(r"[\s'\"]*[\w.+-]+:(?![\\/]|\d{1,5}(?:$|[/?#'\"]))", text) and not re.match(
        r"[\s'\"]*(file|databricks)", text
    ):
        name, colon, secret = text.partition(":")
        yield from [(name + colon, False), (secret, True)]
    elif re.match(r"[\s'\"]*[\w.-]+:\d", text):
        yield from _place(text)
    else:
        yield text, False


def _pairs(text: str) -> Iterator[Piece]:
    """Of `host=h password='a b'` and `Server=h;Pwd=a b`; a value ends where a key begins."""
    matches = list(_KEY.finditer(text))
    if not matches:
        yield text, False
        return
    yield text[: matches[0].start()], False
    for match, after in zip(matches, [*matches[1:], None], strict=True):
        yield match.group(), False
        value = text[match.end() : after.start() if after else len(text)]
        inner = value.rstrip(" ;,&?")
        shown = _HARMLESS.fullmatch(match.group(1).strip()) is not None
        yield inner, bool(inner) and not shown
        yield value[len(inner) :], False


def _authority(address: str) -> str:
    """What stands between the slashes of a scheme and the path."""
    rest = _SCHEME.sub("", address, count=1)
    found = re.match(r"[^/?#;]*", rest)
    return found.group().strip("'\")]} ") if found and "[" not in rest else rest.split("/")[0]


def _is_place(authority: str) -> bool:
    """Whether it is one host or several, each with a port or without."""
    return all(
        _PLACE.fullmatch(each) and int(re.sub(r"\D", "", each.rpartition(":")[2]) or 0) <= 65_535
        if not each.startswith("[")
        else _PLACE.fullmatch(each)
        for each in authority.split(",")
    )


def _is_query(before: str, query: str) -> bool:
    """Whether these are parameters, and not a part of a password before the last `@`."""
    keys = [part.partition("=")[0] for part in query.split("&") if "@" in part]
    known = all(_HARMLESS.fullmatch(key) or re.fullmatch(_SAYS_SECRET, key, re.I) for key in keys)
    return known or ("@" not in before and _is_place(_authority(before)))


@lru_cache(maxsize=32)
def _repeated(address: str) -> tuple[re.Pattern[str], ...]:
    """What finds the secrets of an address in other text, the longest first."""
    forms: set[str] = set()
    for piece, secret in _pieces(address):
        if not secret:
            continue
        text = piece.strip("'\"")
        for each in {piece, text, unquote(text), unquote_plus(text)}:
            # libraries that split the address elsewhere repeat a part
            parts = [part for part in re.split(r"[@:/?#\[\]&\s]", each) if len(part) > _SHORTEST]
            for form in (each, *parts):
                written = (quote(form, safe=""), quote_plus(form), repr(form)[1:-1])
                forms |= {form, *written, json.dumps(form)[1:-1]}
    found = sorted((each for each in forms if len(each) >= _SHORTEST), key=len, reverse=True)
    return tuple(re.compile(_whole(each)) for each in found)


def _whole(secret: str) -> str:
    """A pattern for a secret; one that may be a part of a word is looked for as a word."""
    pattern = re.escape(secret)
    if secret.isalpha() or len(secret) < 6:
        return rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])"
    return pattern
