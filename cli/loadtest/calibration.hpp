#pragma once
// What one generator thread can do here and now, measured against an echo in
// this process just before a run.

namespace flux::loadtest {

struct Calibration {
  double rps_per_core = 0;  // requests per second of processor time of one thread; 0: could not be measured
};

// Takes about a fifth of a second.
Calibration calibrate();

}  // namespace flux::loadtest
