-- needs: keys
-- Fires: how far a schedule has come, `mark:count` by schedule in one hash (the mark is empty while it
-- was fired by hand only), and a list of what it fired, newest first, each msgpack {at, recorded_at,
-- outcome, task id or false, missed, by hand}.

local FIRES_KEPT = 50

local function forget_mark(schedule)
  redis.call('HDEL', KEY.marks, schedule)
  redis.call('DEL', KEY.fires .. schedule)
end
