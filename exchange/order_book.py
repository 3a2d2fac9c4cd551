"""Every order of the account, and the open ones by symbol in the order they came."""

from collections.abc import Iterable

from exchange.orders import VenueOrder


class OrderBook:
    """Orders by id and by client order id. Terminal is terminal: a finished order never changes."""

    def __init__(self, orders: Iterable[VenueOrder] = ()) -> None:
        self.by_id: dict[str, VenueOrder] = {}
        self._by_client: dict[str, str] = {}
        self._open: dict[str, dict[str, None]] = {}
        for order in orders:
            self.put(order)

    def put(self, order: VenueOrder) -> VenueOrder | None:
        """Store an order's new version; return the one before. Raises ValueError on a finished."""
        before = self.by_id.get(order.id)
        if before is not None and before.status.is_terminal and order.status != before.status:
            raise ValueError(f"order {order.id} is {before.status}, not {order.status}")
        self.by_id[order.id] = order
        self._by_client.setdefault(order.client_order_id, order.id)
        live = self._open.setdefault(order.symbol, {})
        if order.status.is_terminal:
            live.pop(order.id, None)
            if not live:
                del self._open[order.symbol]
        else:
            live[order.id] = None
        return before

    def by_client(self, client_order_id: str) -> VenueOrder | None:
        """Return the order of a client order id, None when there is none."""
        found = self._by_client.get(client_order_id)
        return self.by_id[found] if found else None

    def symbols_with_open(self) -> list[str]:
        """Return the symbols that have orders not yet finished."""
        return list(self._open)

    def open_of(self, symbol: str) -> list[VenueOrder]:
        """Return a symbol's unfinished orders (held legs too), oldest first."""
        return [self.by_id[order_id] for order_id in self._open.get(symbol, ())]

    def open_orders(self) -> list[VenueOrder]:
        """Return every unfinished order, held legs included."""
        return [self.by_id[i] for ids in self._open.values() for i in ids]

    def group_of(self, order: VenueOrder) -> list[VenueOrder]:
        """Return the other members of an order's group: parent and legs."""
        head = self.by_id[order.parent_id] if order.parent_id else order
        members = [head, *(self.by_id[i] for i in head.leg_ids)]
        return [m for m in members if m.id != order.id]
