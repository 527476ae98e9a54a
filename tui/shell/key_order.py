"""Keys one after the other: each finds what the one before it has done.

A key goes to the widget that has the focus and from there up to the app, one queue after the other; what it is bound to
happens at the end of that way. Textual sends the next key off meanwhile, by the focus of before: of letters that
come in one packet, as a slow line sends them, those behind a key that opens a field would be keys of the page.

Keys also wait for a page that still loads: what is typed then is meant for it, and not for what is there meanwhile.
"""

from collections import deque
from functools import partial

from textual.app import App
from textual.events import Event, Key, Paste
from textual.message_pump import MessagePump
from textual.timer import Timer

# A key whose widget goes away under it leaves no trace; the next one doesn't wait for it longer than that.
PATIENCE_SECONDS = 0.5
# Those by which one leaves don't wait for a page, and what was typed before them is forgotten.
LEAVING = frozenset({"escape", "ctrl+c", "ctrl+q"})


class OrderedKeys(App[None]):
    """An app that sends a key on its way when the one before has come to the end of its own."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._keys: deque[Event] = deque()
        self._on_its_way: Event | None = None
        self._patience: Timer | None = None

    @property
    def keys_wait(self) -> bool:
        """Whether the page that keys are meant for still loads. Who ends that calls `send_waiting_keys`."""
        return False

    async def send_waiting_keys(self) -> None:
        """The page is there: what was typed meanwhile goes to it."""
        if self._on_its_way is None:
            await self._send_next()

    def forget_waiting_keys(self) -> None:
        """The page won't come, and what was typed was for no other."""
        self._keys.clear()

    async def on_event(self, event: Event) -> None:
        """Keys and pasted text wait for their turn; everything else is as Textual has it."""
        if not isinstance(event, (Key, Paste)) or event.is_forwarded:
            await super().on_event(event)
            return
        if isinstance(event, Key) and event.key in LEAVING and self.keys_wait:
            self.forget_waiting_keys()
            await super().on_event(event)
            return
        self._keys.append(event)
        if self._on_its_way is None:
            await self._send_next()

    async def _send_next(self) -> None:
        if not self._keys or self.keys_wait:
            return
        event = self._on_its_way = self._keys.popleft()
        first = self.focused or self.screen
        await super().on_event(event)
        self._patience = self.set_timer(PATIENCE_SECONDS, partial(self._arrived, event))
        self._follow(event, first)

    def _follow(self, event: Event, node: MessagePump) -> None:
        """Every queue is worked off in order, so that what is put behind the key in each comes behind it to the end."""
        above = self if node is self else node._parent or self
        behind = partial(self._arrived, event) if node is self else partial(self._follow, event, above)
        if not node.call_later(behind) and node is not self:
            self._follow(event, above)

    async def _arrived(self, event: Event) -> None:
        if self._on_its_way is event:
            self._on_its_way = None
            if self._patience is not None:
                self._patience.stop()
            await self._send_next()
