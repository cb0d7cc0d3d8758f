// BullMQ: `node peer.cjs enqueue|trickle COUNT`, or `node peer.cjs work CONCURRENCY`.
// The store's URL is in STORE_URL, the file of marks in TALLY; see ../program.py and ../tally.py.
"use strict";

const fs = require("node:fs");
const { setTimeout: pause } = require("node:timers/promises");
const IORedis = require("ioredis");
const { Queue, Worker } = require("bullmq");

const BATCH = 500;
const NAME = "stamp";

function connection() {
  return new IORedis(process.env.STORE_URL, { maxRetriesPerRequest: null });
}

function marker() {
  const file = fs.openSync(process.env.TALLY, "a");
  const record = Buffer.alloc(16);
  return (number) => {
    record.writeBigInt64LE(BigInt(number), 0);
    record.writeBigInt64LE(process.hrtime.bigint(), 8);
    fs.writeSync(file, record);
  };
}

async function enqueue(queue, tasks) {
  for (let start = 0; start < tasks; start += BATCH) {
    const size = Math.min(BATCH, tasks - start);
    const some = Array.from({ length: size }, (_, at) => ({ name: NAME, data: { number: start + at } }));
    await queue.addBulk(some);
  }
}

async function trickle(queue, tasks) {
  for (let sent = 0; sent < tasks; sent += 1) {
    await pause(10 + 40 * Math.random());
    await queue.add(NAME, { number: String(process.hrtime.bigint()) });
  }
}

async function produce(how, tasks) {
  const queue = new Queue("bench", {
    connection: connection(),
    defaultJobOptions: { removeOnComplete: true },
  });
  await how(queue, tasks);
  await queue.close();
  process.exit(0);
}

function work(concurrency) {
  const mark = marker();
  const worker = new Worker("bench", async (job) => mark(job.data.number), {
    connection: connection(),
    concurrency,
  });
  worker.on("error", (error) => console.error(error));
}

const [verb, count] = process.argv.slice(2);
if (verb === "work") {
  work(Number(count));
} else {
  produce({ enqueue, trickle }[verb], Number(count));
}
