-- needs: ledger
-- The feed: one stream entry per script call. It holds its transitions in order as one msgpack
-- array of groups, {cause, type, queue, state, attempt, progress or false, bare, id, id …}: tasks that
-- go the same way one after another share a group. `bare` tasks have neither labels nor an error, so
-- that the index need not look at their records. The entry's id is the number of transitions up to
-- and with it, so that a cursor is a number.
--
-- It keeps the last FEED_LENGTH transitions, and what the index has not taken in yet: where the feed
-- is cut before that, all tasks must be indexed again. At FEED_MOST it is cut all the same.

local FEED_LENGTH = 100000
local FEED_MOST = 1000000
local TOLD = {}
local TOLD_NOW = 0
local LAST = {}
local COUNTS = {}

local function tell_of(id, cause, kind, queue, state, attempt, progress, bare)
  local last = LAST
  TOLD_NOW = TOLD_NOW + 1
  if last[1] == cause and last[2] == kind and last[3] == queue and last[4] == state
    and last[5] == attempt and not last[6] and not progress and last[7] == bare then
    last[#last + 1] = id
  else
    LAST = {cause, kind, queue, state, attempt, progress or false, bare, id}
    TOLD[#TOLD + 1] = LAST
  end
end

local function tell(record, cause, progress)
  local live = record.live
  tell_of(record.id, cause, live.type, live.queue, live.state, live.attempt, progress,
    not (live.labels or live.error))
end

local function counts_of(queue, kind)
  local of_queue = COUNTS[queue]
  if not of_queue then
    of_queue = {}
    COUNTS[queue] = of_queue
  end
  local of_type = of_queue[kind]
  if not of_type then
    of_type = {}
    of_queue[kind] = of_type
  end
  return of_type
end

local function count(queue, kind, state, by)
  local counts = counts_of(queue, kind)
  counts[state] = (counts[state] or 0) + by
end

local function count_move(queue, kind, before, after)
  local counts = counts_of(queue, kind)
  counts[before], counts[after] = (counts[before] or 0) - 1, (counts[after] or 0) + 1
end

local function save_counts()
  for queue, of_queue in pairs(COUNTS) do
    for kind, of_type in pairs(of_queue) do
      for state, by in pairs(of_type) do
        local field = queue .. '/' .. kind .. '/' .. state
        if by ~= 0 and redis.call('HINCRBY', KEY.counts, field, by) == 0 then
          redis.call('HDEL', KEY.counts, field)
        end
      end
    end
  end
end

local function first_kept()
  local indexed = tonumber(redis.call('HGET', KEY.indexed, 'told') or 0)
  return math.max(0, LEDGER.told - FEED_MOST, math.min(LEDGER.told - FEED_LENGTH, indexed))
end

local function save_feed()
  if TOLD_NOW > 0 then
    LEDGER.told = LEDGER.told + TOLD_NOW
    redis.call('XADD', KEY.feed, 'MINID', '~', whole(first_kept()),
      whole(LEDGER.told) .. '-0', 'at', LEDGER.now, 'n', TOLD_NOW, 'told', cmsgpack.pack(TOLD))
  end
end
