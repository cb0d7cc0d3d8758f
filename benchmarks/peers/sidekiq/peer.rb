# Sidekiq: `ruby peer.rb enqueue|trickle COUNT`, or `sidekiq --require peer.rb`.
# The store's URL is in STORE_URL, the file of marks in TALLY; see ../program.py and ../tally.py.

require "sidekiq"

BATCH = 500

Sidekiq.configure_server do |config|
  config.redis = { url: ENV.fetch("STORE_URL") }
  config.logger.level = Logger::WARN
end
Sidekiq.configure_client { |config| config.redis = { url: ENV.fetch("STORE_URL") } }

def nanoseconds = Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)

TALLY = File.open(ENV.fetch("TALLY"), "ab")

class Stamp
  include Sidekiq::Worker

  def perform(number)
    TALLY.syswrite([number, nanoseconds].pack("q<q<"))
  end
end

def enqueue(tasks)
  (0...tasks).each_slice(BATCH) do |some|
    Sidekiq::Client.push_bulk("class" => Stamp, "args" => some.map { |number| [number] })
  end
end

def trickle(tasks)
  tasks.times do
    sleep(rand(0.01..0.05))
    Stamp.perform_async(nanoseconds)
  end
end

send(ARGV[0], Integer(ARGV[1])) if $PROGRAM_NAME == __FILE__
