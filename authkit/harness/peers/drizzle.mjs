// The hot path's statements through Drizzle on node-postgres, pool of 10.
// Reads one JSON object from standard input, writes calls a second as JSON.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { and, eq, gt, isNull, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { customType, doublePrecision, interval, pgSchema, smallint, text, timestamp, uuid }
  from "drizzle-orm/pg-core";
import pg from "pg";

const asked = JSON.parse(readFileSync(0, "utf8"));
const bytea = customType({ dataType: () => "bytea" });
const sessions = pgSchema("authkit").table("active_sessions", {
  id: uuid("id"), tokenDigest: bytea("token_digest"), userId: uuid("user_id"),
  assuranceLevel: smallint("assurance_level"), methods: text("methods").array(),
  riskScore: doublePrecision("risk_score"),
  authenticatedAt: timestamp("authenticated_at", { withTimezone: true }),
  lastActivity: timestamp("last_activity", { withTimezone: true }),
  idleTimeout: interval("idle_timeout"),
  expiresAt: timestamp("expires_at", { withTimezone: true }),
  revokedAt: timestamp("revoked_at", { withTimezone: true }),
});
const pool = new pg.Pool({ connectionString: asked.url, max: 10 });
const db = drizzle(pool);
const now = sql`clock_timestamp()`;
const validate = db.select({
  id: sessions.id, userId: sessions.userId, assuranceLevel: sessions.assuranceLevel,
  methods: sessions.methods, riskScore: sessions.riskScore,
  authenticatedAt: sessions.authenticatedAt, lastActivity: sessions.lastActivity,
  expiresAt: sessions.expiresAt,
  idle: sql`extract(epoch FROM clock_timestamp() - ${sessions.lastActivity})::float8`,
}).from(sessions).where(and(
  eq(sessions.tokenDigest, sql.placeholder("digest")), isNull(sessions.revokedAt),
  gt(sessions.expiresAt, now), sql`${sessions.lastActivity} + ${sessions.idleTimeout} > ${now}`,
)).prepare("validate");

const hash = (value) => createHash("sha256").update(value).digest();
const v7 = () => {
  const id = Date.now().toString(16).padStart(12, "0") + "7" + randomBytes(10).toString("hex");
  return id.slice(0, 8) + "-" + id.slice(8, 12) + "-" + id.slice(12, 16) + "-8" +
    id.slice(17, 20) + "-" + id.slice(20, 32);
};
// Splits `... $1 ... $2 ...` once; each call fills the places in.
const template = (text) => {
  const parts = text.split(/(\$\d+)/);
  return (values) => sql.join(parts.map((part) =>
    /^\$\d+$/.test(part) ? sql`${values[part.slice(1) - 1]}` : sql.raw(part)));
};
const made = Object.fromEntries(
  Object.entries(asked.sql).map(([name, text]) => [name, template(text)]));
const attempt = (key) => {
  const values = Array(19).fill(null);
  values[1] = v7(); values[2] = hash(String(key)); values[4] = "192.0.2.1";
  values[7] = "Mozilla/5.0"; values[11] = "primary"; values[12] = "password";
  values[13] = "failed";
  return values;
};
const calls = {
  validate: (key) => validate.execute({ digest: hash(String(key).padStart(43, "0")) }),
  touch: (key) => db.execute(made.touch([
    "00000000-7000-9000-0000-" + key.toString(16).padStart(12, "0"), "0"])),
  attempt: (key) => db.execute(made.attempt(attempt(key))),
  limiter: (key) => db.execute(made.limiter([
    "key:" + key, "bench", "bench", "1 second", "20 seconds", null])),
};
const call = calls[asked.operation];
const keys = asked.keys;
let next = 0;
const one = () => call(keys[next++ % keys.length]);
await Promise.all(Array.from({ length: asked.clients }, one));
let count = 0;
const began = performance.now();
const end = began + asked.seconds * 1000;
await Promise.all(Array.from({ length: asked.clients }, async () => {
  while (performance.now() < end) { await one(); count += 1; }
}));
process.stdout.write(JSON.stringify(count / (performance.now() - began) * 1000));
await pool.end();
