/// What the C interface has to know of storage that is not ours. Any thread.
#pragma once

namespace tokenstore::capi {

class Guest {
 public:
  virtual ~Guest() = default;
  /// Is this thread in one of its calls, so that calling the store would be calling back?
  virtual bool inside() const noexcept = 0;
  /// After any other call; again, it does nothing.
  virtual void close() noexcept = 0;

 protected:
  Guest() = default;
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;
};

}  // namespace tokenstore::capi
