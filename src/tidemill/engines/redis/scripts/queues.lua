-- needs: produce save
-- queues: create queues or change their settings.
-- ARGV[3] msgpack: {name, settings} each; settings may hold paused, weight, lease (0: none of its
-- own); what is not there stays.

go_on_when_full()
for _, change in ipairs(cmsgpack.unpack(ARGV[3])) do
  local name, settings = change[1], change[2]
  know_queue(name)
  local queue = cmsgpack.unpack(redis.call('HGET', KEY.queues, name))
  for key, value in pairs(settings) do
    queue[key] = value
  end
  if queue.lease == 0 then
    queue.lease = nil
  end
  redis.call('HSET', KEY.queues, name, cmsgpack.pack(queue))
  WOKEN[name] = true
end
save()
return 1
