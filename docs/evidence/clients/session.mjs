import { Alpaca, TimeFrame } from "@alpacahq/alpaca-trade-api";
const base = process.env.EXCHANGE, ws = base.replace("http", "ws");
const fetchApi = (url, init) => fetch(String(url).replace(/^https:\/\/[^/]+/, base), init);
const alpaca = new Alpaca({ keyId: "key", secret: "secret", fetchApi });
let failed = 0;
const say = (name, v) => console.log(`${name.padEnd(34)} ${typeof v === "string" ? v : JSON.stringify(v)}`.slice(0, 150));
async function step(name, act) {
  try { const v = await act(); say(name, v ?? "ok"); return v; }
  catch (e) { failed++; say(name, `FAILED ${e.message} ${e.response ? e.response.status : ""}`.slice(0, 300)); }
}
const t = alpaca.trading, m = alpaca.marketData;
const updates = [], bars = [], quotes = [], trades = [];
const tu = t.stream({ url: `${ws}/stream` });
tu.onTradeUpdate((u) => updates.push(u));
tu.onConnect(() => tu.subscribeTradeUpdates());
tu.onError((e) => say("trade stream error", String(e.message ?? e)));
tu.connect();
const ds = m.stockStream({ feed: "iex", url: `${ws}/v2/iex` });
ds.onBar((b) => bars.push(b)); ds.onQuote((q) => quotes.push(q)); ds.onTrade((x) => trades.push(x));
ds.onConnect(() => { ds.subscribeForBars(["*"]); ds.subscribeForQuotes(["AAPL"]); ds.subscribeForTrades(["SPY"]); });
ds.onError((e) => say("data stream error", String(e.message ?? e)));
ds.connect();
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
await step("authenticated (trade stream)", () => tu.waitForAuthentication(5000));
await step("authenticated (data stream)", () => ds.waitForAuthentication(5000));
await step("account", async () => { const a = await t.account.getAccount(); return { cash: a.cash, bp: a.buyingPower, status: a.status }; });
await step("clock (v2)", async () => (await t.clock.legacyClock()).isOpen);
await step("calendar (v2)", async () => (await t.calendar.legacyCalendar({ start: new Date("2026-01-05"), end: new Date("2026-01-09") })).length);
await step("clock (v3)", async () => (await t.clock.clock()).clocks[0]);
await step("calendar (v3)", async () => (await t.calendar.calendar({ market: "NYSE", start: new Date("2026-01-05"), end: new Date("2026-01-09") })).calendar.length);
await step("assets", async () => (await t.assets.getV2Assets({ status: "active", assetClass: "us_equity" })).length);
await step("asset", async () => (await t.assets.getV2AssetsSymbolOrAssetId({ symbolOrAssetId: "AAPL" })).name);
await step("configurations", async () => (await t.accountConfigurations.getAccountConfig()).maxMarginMultiplier);
await step("patch configurations", async () => (await t.accountConfigurations.patchAccountConfig({ accountConfigurations: { noShorting: false } })).noShorting);
await step("history 1Day", async () => { const h = await m.getStockBars({ symbols: ["AAPL", "MSFT"], timeframe: TimeFrame.Day, start: new Date("2025-12-01"), end: new Date("2025-12-31") }); return { AAPL: h.AAPL.length, close: h.AAPL.at(-1).close }; });
await step("latest price", () => m.getLatestPrice("AAPL"));
await step("snapshots", async () => { const s = await m.stocks.stockSnapshots({ symbols: "AAPL,MSFT" }); return Object.keys(s); });
await step("latest quotes", async () => (await m.stocks.stockLatestQuotes({ symbols: "AAPL,MSFT" })).quotes.AAPL);
await step("single bars", async () => (await m.stocks.stockBarSingle({ symbol: "AAPL", timeframe: "1Day", start: new Date("2025-12-01"), end: new Date("2025-12-31") })).bars.length);
// A session: trade on every bar that comes, both sides, until the minute is up.
const held = {};
const symbols = ["AAPL", "MSFT", "JPM", "XOM", "KO"];
let seen = 0, placed = 0, refused = 0;
const prior = {};
const until = Date.now() + Number(process.env.SECONDS ?? 30) * 1000;
while (Date.now() < until) {
  while (seen < bars.length) {
    const b = bars[seen++];
    if (!symbols.includes(b.symbol)) continue;
    const last = prior[b.symbol]; prior[b.symbol] = b.close;
    if (last === undefined || placed >= 60) continue;
    const qty = 1 + (seen % 3);
    const side = b.close > last ? "buy" : "sell";
    try { await t.orders.market({ symbol: b.symbol, qty, side, clientOrderId: `js-${placed}-${b.symbol}` }); placed++; }
    catch (e) { refused++; say("refused", e.message); }
  }
  await sleep(20);
}
say("bars heard", bars.length); say("quotes and trades heard", [quotes.length, trades.length]);
say("orders placed, refused", [placed, refused]);
const limit = await step("limit order", () => t.orders.limit({ symbol: "AAPL", qty: 1, side: "buy", limitPrice: 10, timeInForce: "gtc", clientOrderId: "js-limit" }).then((o) => ({ id: o.id, status: o.status })));
await step("replace", async () => { const o = await t.orders.patchOrderByOrderId({ orderId: limit.id, patchOrderRequest: { qty: "2", limitPrice: "11" } }); return { replaces: o.replaces === limit.id, qty: o.qty, status: o.status }; });
await step("by client id", async () => (await t.orders.getOrderByClientOrderId({ clientOrderId: "js-limit" })).status);
await step("stop", async () => (await t.orders.stop({ symbol: "SPY", qty: 1, side: "buy", stopPrice: 9000 })).type);
await step("stop limit", async () => (await t.orders.stopLimit({ symbol: "SPY", qty: 1, side: "buy", stopPrice: 9000, limitPrice: 9001 })).type);
await step("trailing stop", async () => (await t.orders.trailingStop({ symbol: "QQQ", qty: 1, side: "buy", trailPercent: 5 })).trailPercent);
await step("bracket", async () => { const o = await t.orders.bracket({ symbol: "GLD", qty: 1, side: "buy", type: "market", takeProfit: { limitPrice: 9000 }, stopLoss: { stopPrice: 1 } }); return { legs: o.legs?.map((l) => l.status) }; });
await step("list open", async () => (await t.orders.getAllOrders({ status: "open", limit: 100, nested: true })).length);
await step("insufficient buying power", async () => { try { await t.orders.market({ symbol: "SPY", qty: 1e6, side: "buy" }); return "taken?!"; } catch (e) { return `${e.constructor.name}: ${e.message}`.slice(0, 100); } });
await step("cancel all", async () => JSON.stringify(await t.orders.deleteAllOrders()).slice(0, 80));
await step("positions", async () => { const p = await t.positions.getAllOpenPositions(); return p.map((x) => `${x.symbol} ${x.qty}`).join(", "); });
await sleep(500);
const net = {};
for (const u of updates) if (u.event === "fill" || u.event === "partial_fill") net[u.order.symbol] = (net[u.order.symbol] ?? 0) + Number(u.qty) * (u.order.side === "buy" ? 1 : -1);
const positions = await t.positions.getAllOpenPositions();
const differ = symbols.concat(["GLD"]).filter((s) => Number(positions.find((p) => p.symbol === s)?.qty ?? 0) !== (net[s] ?? 0));
say("stream's sum of fills = positions", differ.length ? `DIFFER ${differ}` : "yes"); failed += differ.length;
await step("activities", async () => (await t.accountActivities.getAccountActivities({ activityTypes: ["FILL"], pageSize: 100 })).length);
await step("portfolio history", async () => (await t.portfolioHistory.getAccountPortfolioHistory({ period: "1D", timeframe: "5Min" })).equity?.length);
await step("close one, half", async () => (await t.positions.deleteOpenPosition({ symbolOrAssetId: positions[0].symbol, percentage: 50 })).qty);
await step("close all", async () => (await t.positions.deleteAllOpenPositions({ cancelOrders: true })).map((r) => r.status).join(","));
await sleep(1500);
await step("flat", async () => (await t.positions.getAllOpenPositions()).length);
say("trade updates heard", updates.length);
const kinds = {}; for (const u of updates) kinds[u.event] = (kinds[u.event] ?? 0) + 1; say("by event", kinds);
tu.disconnect(); ds.disconnect();
console.log(failed ? `${failed} FAILED` : "ALL WELL");
process.exit(failed ? 1 : 0);
