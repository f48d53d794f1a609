#pragma once

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include <manyhands/detail/markup.hpp>
#include <manyhands/detail/report_tally.hpp>

namespace manyhands::detail {

/// Divides an axis: as few as four steps, as many as nine, of a round length.
struct axis_ticks {
  double unit = 1;  // nanoseconds
  const char* unit_name = "ns";
  double step = 1;  // units
  int count = 0;    // without the one at zero

  explicit axis_ticks(std::chrono::nanoseconds length) noexcept {
    struct known_unit {
      double ns;
      const char* name;
    };
    static constexpr known_unit units[] = {{1e3, "\xC2\xB5s"}, {1e6, "ms"}, {1e9, "s"}, {60e9, "min"}, {3600e9, "h"}};
    const double ns = static_cast<double>(std::max<std::int64_t>(length.count(), 1));
    for (const known_unit& each : units) {
      if (ns < 2 * each.ns) break;
      unit = each.ns;
      unit_name = each.name;
    }
    const double all = ns / unit;
    step = std::pow(10, std::floor(std::log10(all / 4)));
    for (const double factor : {5.0, 2.0}) {
      if (all / (step * factor) < 4) continue;
      step *= factor;
      break;
    }
    count = static_cast<int>(all / step + 1e-9);
  }
  [[nodiscard]] std::string label(int tick) const {
    char text[48];
    std::snprintf(text, sizeof text, "%g %s", step * tick, unit_name);
    return tick == 0 ? "0" : text;
  }
};

/// The HTML page of a report.
template <class>
class basic_report_page {
 public:
  explicit basic_report_page(const report_data& data) : data_(data) { find_rows(); }

  [[nodiscard]] std::string text() {
    head();
    tiles();
    where_time_went();
    timeline();
    failures();
    durations();
    slowest();
    workers();
    notes();
    put("</main></body></html>\n");
    return std::move(out_);
  }

 private:
  using time = report_data::time;

  // --- the parts of the page

  void head() {
    put("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">"
        "<meta name=\"generator\" content=\"manyhands\"><title>");
    escaped(title());
    put("</title>\n<style>");
    put(style);
    put("</style></head>\n<body><main>\n<header><div><h1>");
    escaped(title());
    put("</h1><p class=\"dim\">");
    escaped(data_.backend);
    put(" &middot; ");
    put(counted(static_cast<std::size_t>(std::max(data_.workers, 0)), "worker"));
    put(" (n_jobs = " + std::to_string(data_.n_jobs) + ")");
    if (data_.depth > 0) put(" &middot; inside " + counted(static_cast<std::size_t>(data_.depth), "other call"));
    char date[32];
    std::tm local{};
    if (::localtime_r(&data_.date, &local) != nullptr && std::strftime(date, sizeof date, "%Y-%m-%d %H:%M", &local) > 0)
      put(" &middot; " + std::string(date));
    put("</p></div>");
    if (!data_.error.empty()) {
      put("<span class=\"badge bad\">call failed</span>");
    } else if (data_.all.failed > 0) {
      put("<span class=\"badge bad\">completed with failures</span>");
    } else {
      put("<span class=\"badge good\">completed</span>");
    }
    put("</header>\n");
    if (!data_.error.empty()) {
      put("<p class=\"error lead\">");
      escaped(data_.error);
      put("</p>\n");
    }
  }

  void tiles() {
    const std::size_t done = data_.all.finished + data_.all.failed;
    put("<div class=\"tiles\">");
    tile("Tasks", grouped(done),
         data_.tasks && *data_.tasks > done ? "of " + grouped(*data_.tasks) + ", the rest did not run"
         : data_.restored > 0               ? grouped(data_.restored) + " restored from the checkpoint"
                                            : rate(done));
    tile("Elapsed", time_text(data_.elapsed), data_.restored > 0 || (data_.tasks && *data_.tasks > done) ? rate(done) : longest_note());
    char busy[64];
    std::snprintf(busy, sizeof busy, "%.1f of %zu busy on average", to_double(working_) / to_double(data_.elapsed), rows_.size());
    tile("Workers working", percent(to_double(working_), to_double(all_time())), busy);
    tile("Failed", grouped(data_.all.failed),
         data_.all.retried > 0 ? grouped(data_.all.retried) + (data_.all.retried == 1 ? " attempt" : " attempts") + " run again"
                               : "no retries",
         data_.all.failed > 0);
    if (data_.all.lost + data_.all.replaced > 0)
      tile("Workers lost", grouped(data_.all.lost), grouped(data_.all.replaced) + " replaced", data_.all.lost > 0);
    put("</div>\n");
  }

  void where_time_went() {
    if (rows_.empty()) return;
    time before{0};
    time between{0};
    time after{0};
    time idle{0};
    for (const std::size_t number : rows_) {
      const report_data::worker& who = data_.each[number];
      if (who.attempts() == 0) {
        idle += data_.elapsed;
        continue;
      }
      const time end = std::max(data_.elapsed, who.last_end);
      before += who.first_begin;
      after += end - who.last_end;
      between += std::max(who.last_end - who.first_begin - who.working, time(0));
    }
    const double whole = to_double(working_ + before + between + after + idle);
    struct part {
      const char* kind;
      const char* name;
      time length;
    };
    const part parts[] = {{"p0", "working", working_},
                          {"p1", "waiting for the first task", before},
                          {"p2", "between tasks", between},
                          {"p3", "after the last task", after},
                          {"p4", "without any task", idle}};
    section("Working and waiting", "the time of " + counted(rows_.size(), "worker") + ", " + time_text(all_time()) + " in all");
    put("<div class=\"stack\" role=\"img\" aria-label=\"shares of the workers' time\">");
    for (const part& each : parts) {
      if (each.length.count() <= 0) continue;
      put("<i class=\"" + std::string(each.kind) + "\" style=\"flex-grow:" + number(to_double(each.length) / whole * 1000, 2) +
          "\" title=\"" + each.name + ": " + time_text(each.length) + "\"></i>");
    }
    put("</div><ul class=\"legend\">");
    for (const part& each : parts) {
      if (each.length.count() <= 0) continue;
      put("<li><i class=\"" + std::string(each.kind) + "\"></i>" + each.name + " <b>" + percent(to_double(each.length), whole) +
          "</b> <span class=\"dim\">" + time_text(each.length) + "</span></li>");
    }
    put("</ul></section>\n");
  }

  void timeline() {
    if (rows_.empty()) return;
    section("Timeline", data_.has_all_attempts
                            ? "one bar a task; on the right, the share of the time that the worker worked"
                            : "the height is the share of the time that the worker worked, as is the number on the right");
    put(rows_.size() > 32 ? "<div class=\"lanes many\">" : "<div class=\"lanes\">");
    for (const std::size_t number : rows_) {
      const report_data::worker& who = data_.each[number];
      put("<div class=\"lane\"><span class=\"who\">" + std::to_string(number) + "</span>");
      data_.has_all_attempts ? draw_attempts(number) : draw_cells(who);
      put("<span class=\"share\">" + percent(to_double(who.working), to_double(data_.elapsed)) + "</span></div>\n");
    }
    const axis_ticks ticks(data_.elapsed);
    const double whole = to_double(data_.elapsed) / (ticks.unit * ticks.step);
    put("<div class=\"lane axis\"><span class=\"who\"></span><div>");
    for (int tick = 0; tick <= ticks.count; ++tick) {
      const double at = tick / whole * 100;
      if (at > 94 && tick > 0) break;  // its label would stand over the edge
      put("<span" + std::string(ticks.count > 5 && tick % 2 == 1 ? " class=\"odd\"" : "") + " style=\"left:" + this->number(at, 2) +
          "%\">" + ticks.label(tick) + "</span>");
    }
    put("</div><span class=\"share\"></span></div></div>");
    put("<ul class=\"legend\"><li><i class=\"p0\"></i>working</li>");
    if (data_.all.failed > 0) put("<li><i class=\"pf\"></i>failed</li>");
    if (data_.all.retried > 0) put("<li><i class=\"pr\"></i>failed and run again</li>");
    if (data_.all.lost > 0) put("<li><i class=\"pl\"></i>worker lost</li>");
    put("</ul>");
    if (beyond_ > 0)
      put("<p class=\"dim\">" + counted(beyond_, "more worker") + " without a row of " + (beyond_ == 1 ? "its" : "their") + " own.</p>");
    put("</section>\n");
  }
  void draw_attempts(std::size_t worker) {
    put("<svg viewBox=\"0 0 1000 32\" preserveAspectRatio=\"none\">");
    const double scale = 1000 / to_double(data_.elapsed);
    for (const report_data::attempt& one : data_.attempts) {
      if (one.worker < 0 || static_cast<std::size_t>(one.worker) != worker) continue;
      const double begin = std::min(to_double(one.begin) * scale, 999.0);
      double width = to_double(one.end - one.begin) * scale;
      width = std::max(width > 6 ? width - 1.2 : width > 2 ? width * 0.8 : width, 0.8);  // a gap between neighbours
      put("<rect" +
          std::string(one.how == fate::failed    ? " class=\"f\""
                      : one.how == fate::retried ? " class=\"r\""
                                                 : "") +
          " x=\"" + number(begin, 2) + "\" width=\"" + number(width, 2) + "\" height=\"32\"><title>task " + std::to_string(one.index) +
          (one.number > 0 ? ", retry " + std::to_string(one.number) : "") + ": " + time_text(one.end - one.begin) + ", from " +
          time_text(one.begin) + "</title></rect>");
    }
    incidents(static_cast<int>(worker), scale, 2.5);
    put("</svg>");
  }
  void draw_cells(const report_data::worker& who) {
    // As many as the call took; for very many workers neighbours are put together, or the page would be too large.
    const auto used =
        std::clamp<std::size_t>(static_cast<std::size_t>(data_.elapsed.count() / data_.cell_width.count()) + 1, 1, data_.cells);
    constexpr std::size_t most_cells = 32768;
    std::size_t together = 1;
    while (rows_.size() * used / together > most_cells) together *= 2;
    const std::size_t count = (used + together - 1) / together;
    const double last_share = to_double(data_.elapsed) / to_double(data_.cell_width * static_cast<std::int64_t>(together));
    put("<svg viewBox=\"0 0 " + number(last_share, 2) + " 32\" preserveAspectRatio=\"none\">");
    if (!who.cells.empty()) {
      std::string area = "M0 32";
      std::string failed;
      std::string retried;
      int height = 0;
      for (std::size_t at = 0; at < count; ++at) {
        report_data::cell sum;
        for (std::size_t old = at * together; old < std::min((at + 1) * together, used); ++old) {
          sum.working += who.cells[old].working;
          sum.has_failed = sum.has_failed || who.cells[old].has_failed;
          sum.has_retried = sum.has_retried || who.cells[old].has_retried;
        }
        const double width = std::min(1.0, last_share - static_cast<double>(at));  // the last one may be cut off
        const double share = width > 0 ? sum.working / (to_double(data_.cell_width) * static_cast<double>(together) * width) : 0;
        const int now = std::clamp(static_cast<int>(std::ceil(share * 32 - 0.01)), 0, 32);
        const std::string x = std::to_string(at);
        if (now != height) {
          if (at > 0) area += "H" + x;
          area += "V" + std::to_string(32 - now);
          height = now;
        }
        if (sum.has_failed) {
          failed += "M" + x + " 0h1v11h-1z";  // not all of the height: what the worker did is to be seen, too
        } else if (sum.has_retried) {
          retried += "M" + x + " 0h1v11h-1z";
        }
      }
      area += "H" + number(last_share, 2) + "V32z";
      put("<path d=\"" + area + "\"/>");
      if (!retried.empty()) put("<path class=\"r\" d=\"" + retried + "\"/>");
      if (!failed.empty()) put("<path class=\"f\" d=\"" + failed + "\"/>");
    }
    incidents(static_cast<int>(&who - data_.each.data()), 1 / to_double(data_.cell_width * static_cast<std::int64_t>(together)),
              last_share / 400);
    put("</svg>");
  }
  void incidents(int worker, double scale, double width) {
    for (const report_data::incident& one : data_.incidents) {
      if (one.worker != worker || !one.is_loss) continue;
      put("<rect class=\"l\" x=\"" + number(to_double(one.when) * scale, 2) + "\" width=\"" + number(width, 2) +
          "\" height=\"32\"><title>worker lost at " + time_text(one.when) + "</title></rect>");
    }
  }

  void failures() {
    failure_table("Failed tasks", data_.failures, data_.all.failed, "failed for good");
    // Of attempts in other processes, only their number is known.
    const bool is_known = std::any_of(data_.retries.begin(), data_.retries.end(), [](const auto& one) { return !one.error.empty(); });
    if (is_known) failure_table("Attempts run again", data_.retries, data_.all.retried, "failed and were run again");
  }
  void failure_table(const char* heading, const std::vector<report_data::attempt>& list, std::size_t all, const char* what) {
    if (all == 0) return;
    section(heading,
            all > list.size() ? "the first " + grouped(list.size()) + " of " + grouped(all) : counted(all, "attempt") + " " + what);
    table("<th>task</th><th>worker</th>" + retry_column() + "<th class=\"wide\">began at</th><th>took</th><th class=\"text\">error</th>");
    for (const report_data::attempt& one : list) {
      put("<tr><td>" + grouped(one.index) + "</td><td>" + worker_name(one.worker) + "</td>" + retry_cell(one) + "<td class=\"wide\">" +
          time_text(one.begin) + "</td><td>" + (one.end > one.begin ? time_text(one.end - one.begin) : dash) +
          "</td><td class=\"text error\">");
      if (one.error.empty()) {
        put("<span class=\"dim\">not known here</span>");
      } else {
        escaped(one.error);
      }
      put("</td></tr>\n");
    }
    put("</table></div></section>\n");
  }

  void durations() {
    constexpr std::size_t least_for_bars = 20;
    if (data_.timed < least_for_bars) return;
    section("How long tasks took", counted(data_.timed, "attempt") + ", on a logarithmic scale");
    std::size_t first = duration_counts::step_of(data_.shortest);
    const std::size_t last = duration_counts::step_of(data_.all.longest);
    constexpr std::size_t most_bars = 48;
    std::size_t together = 1;
    while ((last / together) - (first / together) + 1 > most_bars) together *= 2;
    first = first / together * together;
    struct bar {
      std::size_t step;
      std::size_t tasks;
    };
    std::vector<bar> bars;
    std::size_t most = 1;
    for (std::size_t step = first; step <= last; step += together) {
      std::size_t tasks = 0;
      for (std::size_t at = step; at < std::min(step + together, duration_counts::steps); ++at) tasks += data_.durations[at];
      bars.push_back({step, tasks});
      most = std::max(most, tasks);
    }
    put("<div class=\"bars\">");
    for (const bar& each : bars) {
      put("<i title=\"" + time_text(duration_counts::least(each.step)) + " to " + time_text(duration_counts::least(each.step + together)) +
          ": " + grouped(each.tasks) + "\"><b style=\"height:" +
          number(each.tasks == 0 ? 0 : std::max(static_cast<double>(each.tasks) / static_cast<double>(most) * 100, 1.0), 1) +
          "%\"></b></i>");
    }
    put("</div><div class=\"ends\"><span>" + time_text(duration_counts::least(first)) + "</span><span>" +
        time_text(duration_counts::least((first + last) / 2)) + "</span><span>" + time_text(duration_counts::least(last + together)) +
        "</span></div><dl>");
    fact("shortest", time_text(data_.shortest));
    fact("median", time_text(quantile(0.5)));
    fact("mean", time_text(data_.all.working / static_cast<std::int64_t>(data_.timed)));
    fact("90 % within", time_text(quantile(0.9)));
    fact("99 % within", time_text(quantile(0.99)));
    fact("longest", time_text(data_.all.longest));
    put("</dl></section>\n");
  }
  [[nodiscard]] time quantile(double share) const {
    const auto wanted = static_cast<std::size_t>(std::ceil(share * static_cast<double>(data_.timed)));
    std::size_t seen = 0;
    for (std::size_t step = 0; step < duration_counts::steps; ++step) {
      seen += data_.durations[step];
      if (seen < wanted) continue;
      const time middle = (duration_counts::least(step) + duration_counts::least(step + 1)) / 2;
      return std::clamp(middle, data_.shortest, data_.all.longest);
    }
    return data_.all.longest;
  }

  void slowest() {
    if (data_.slowest.empty()) return;
    section("Slowest tasks", data_.timed > data_.slowest.size() ? "the " + std::to_string(data_.slowest.size()) + " longest attempts" : "");
    table("<th>task</th><th>took</th><th class=\"text\"></th>" + std::string("<th>worker</th>") + retry_column() +
          "<th class=\"wide\">began at</th>");
    const double longest = to_double(std::max(data_.all.longest, time(1)));
    for (const report_data::attempt& one : data_.slowest) {
      const time took = one.end - one.begin;
      put("<tr><td>" + grouped(one.index) + "</td><td>" + time_text(took) + "</td><td class=\"text meter\"><i class=\"" +
          (one.how == fate::finished ? "p0"
           : one.how == fate::failed ? "pf"
                                     : "pr") +
          "\" style=\"width:" + number(std::max(to_double(took) / longest * 100, 0.5), 1) + "%\"></i></td><td>" + worker_name(one.worker) +
          "</td>" + retry_cell(one) + "<td class=\"wide\">" + time_text(one.begin) + "</td></tr>\n");
    }
    put("</table></div></section>\n");
  }

  void workers() {
    if (rows_.empty()) return;
    const bool loses = data_.all.lost + data_.all.replaced > 0;
    section("Workers", "");
    table("<th>worker</th><th>working</th><th class=\"text\"></th><th>waiting</th><th>tasks</th><th>failed</th>" +
          std::string(data_.all.retried > 0 ? "<th class=\"wide\">run again</th>" : "") +
          (loses ? "<th class=\"wide\">lost</th><th class=\"wide\">replaced</th>" : "") +
          "<th class=\"wide\">mean task</th><th class=\"wide\">longest</th>");
    for (const std::size_t number : rows_) {
      const report_data::worker& who = data_.each[number];
      const auto tries = static_cast<std::int64_t>(who.attempts());
      put("<tr><td>" + std::to_string(number) + "</td><td>" + time_text(who.working) +
          "</td><td class=\"text meter\"><i class=\"p0\" style=\"width:" +
          this->number(std::min(to_double(who.working) / to_double(data_.elapsed) * 100, 100.0), 1) + "%\"></i></td><td>" +
          time_text(std::max(data_.elapsed - who.working, time(0))) + "</td><td>" + grouped(who.finished + who.failed) + "</td><td>" +
          grouped(who.failed) + "</td>");
      if (data_.all.retried > 0) put("<td class=\"wide\">" + grouped(who.retried) + "</td>");
      if (loses) put("<td class=\"wide\">" + grouped(who.lost) + "</td><td class=\"wide\">" + grouped(who.replaced) + "</td>");
      put("<td class=\"wide\">" + (tries > 0 ? time_text(who.working / tries) : dash) + "</td><td class=\"wide\">" +
          (tries > 0 ? time_text(who.longest) : dash) + "</td></tr>\n");
    }
    put("</table></div></section>\n");
  }

  void notes() {
    section("Notes", "");
    put("<ul class=\"notes\">");
    if (data_.peak_memory > 0) {
      put("<li>Memory: this program has used at most " + memory(data_.peak_memory) + " since it was started");
      if (data_.peak_process_memory > 0)
        put(", and the largest of the processes that ended during the call " + memory(data_.peak_process_memory) +
            ", with what it shared with the program");
      put(". What each worker used is not known: threads share their memory, and processes do not tell.</li>");
    }
    if (data_.all.retried > data_.retries.size() || (data_.all.retried > 0 && data_.retries.front().error.empty()))
      put("<li>" + counted(data_.all.retried, "attempt") + " failed and " + (data_.all.retried == 1 ? "was" : "were") + " run again: " +
          (data_.retries.front().error.empty() ? "of what, worker processes do not tell." : "the table has the first of them.") + "</li>");
    if (data_.restored > 0) put("<li>" + counted(data_.restored, "result") + " came from the checkpoint and took no time.</li>");
    if (data_.broken_bytes > 0) put("<li>" + counted(data_.broken_bytes, "byte") + " of the checkpoint were broken and are lost.</li>");
    if (data_.timed >= 20) put("<li>Median and shares of the durations are right within 3 %.</li>");
    if (!data_.has_all_attempts)
      put("<li>Of so many tasks, the timeline shows stretches of " + time_text(data_.cell_width) + " or more, not each task.</li>");
    put("</ul></section>\n");
  }

  // --- what the parts are made of

  /// The workers that are shown: those that had a task, and as many idle ones as there were to be.
  void find_rows() {
    const std::size_t done = data_.all.attempts();
    const std::size_t expected = std::min(static_cast<std::size_t>(std::max(data_.workers, 1)), std::max(data_.tasks.value_or(done), done));
    std::size_t busy = 0;
    for (const report_data::worker& who : data_.each) busy += who.attempts() > 0 ? 1 : 0;
    std::size_t idle = expected > busy ? expected - busy : 0;
    for (std::size_t number = 0; number < data_.each.size(); ++number) {
      const report_data::worker& who = data_.each[number];
      if (who.attempts() == 0 && who.lost == 0) {
        if (idle == 0) continue;
        --idle;
      }
      rows_.push_back(number);
      working_ += std::min(who.working, data_.elapsed);
    }
    beyond_ = expected > rows_.size() ? expected - rows_.size() : 0;
  }
  [[nodiscard]] time all_time() const { return data_.elapsed * static_cast<std::int64_t>(rows_.size()); }
  [[nodiscard]] std::string title() const { return data_.description.empty() ? "A call of manyhands" : data_.description; }
  [[nodiscard]] std::string longest_note() const {
    return data_.timed > 0 ? "longest task " + time_text(data_.all.longest) : "no task was timed";
  }
  [[nodiscard]] std::string rate(std::size_t done) const {
    if (done == 0) return "none ran";
    const double each = static_cast<double>(done) / to_double(data_.elapsed) * 1e9;
    if (each >= 1e6) return number(each / 1e6, 1) + " million a second";
    if (each >= 1e3) return grouped(static_cast<std::size_t>(each)) + " a second";
    if (each >= 1) return number(each, each < 100 ? 1 : 0) + " a second";
    return "one each " + time_text(time(static_cast<std::int64_t>(1e9 / each)));
  }
  [[nodiscard]] std::string retry_column() const { return data_.all.retried > 0 ? "<th>retry</th>" : ""; }
  [[nodiscard]] std::string retry_cell(const report_data::attempt& one) const {
    if (data_.all.retried == 0) return "";
    return "<td>" + (one.number > 0 ? std::to_string(one.number) : dash) + "</td>";
  }
  [[nodiscard]] static std::string worker_name(int worker) { return worker >= 0 ? std::to_string(worker) : dash; }
  [[nodiscard]] static std::string counted(std::size_t count, const char* noun) {
    return grouped(count) + " " + noun + (count == 1 ? "" : "s");
  }
  [[nodiscard]] static std::string memory(std::size_t bytes) {
    const double mb = static_cast<double>(bytes) / 1e6;
    return mb >= 1e3 ? number(mb / 1e3, 1) + " GB" : number(mb, mb < 10 ? 1 : 0) + " MB";
  }
  /// `100 %` only for all of it, and `0 %` only for nothing.
  [[nodiscard]] static std::string percent(double part, double whole) {
    if (part <= 0 || whole <= 0) return "0 %";
    const double share = part / whole * 100;
    if (share < 1) return share < 0.1 ? "&lt;0.1 %" : number(share, 1) + " %";
    return number(share < 100 ? std::min(std::round(share), 99.0) : 100, 0) + " %";
  }
  [[nodiscard]] static double to_double(time value) { return static_cast<double>(value.count()); }
  [[nodiscard]] static std::string number(double value, int digits) {
    char text[48];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
  }

  void tile(const char* name, const std::string& value, const std::string& note, bool is_bad = false) {
    put("<div class=\"tile" + std::string(is_bad ? " bad" : "") + "\"><span>" + name + "</span><strong>" + value + "</strong><small>" +
        note + "</small></div>");
  }
  void fact(const char* name, const std::string& value) { put("<div><dt>" + std::string(name) + "</dt><dd>" + value + "</dd></div>"); }
  void section(const char* heading, const std::string& remark) {
    put("<section><h2>" + std::string(heading));
    if (!remark.empty()) put(" <small>" + remark + "</small>");
    put("</h2>");
  }
  void table(const std::string& heads) { put("<div class=\"scroll\" tabindex=\"0\"><table><tr>" + heads + "</tr>\n"); }
  void put(std::string_view html) { out_ += html; }
  void escaped(std::string_view text) { append_html(out_, text); }

  static inline const std::string dash = "\xE2\x80\x93";
  static constexpr std::string_view style =
      ":root{--bg:#f6f7f9;--card:#fff;--ink:#1b2430;--dim:#5f6b7a;--line:#e1e5ea;--work:#2f7fb5;--wait1:#c9d3dd;--wait2:#aab7c4;"
      "--wait3:#8797a8;--wait4:#e3e8ed;--track:#edf0f4;--bad:#c8352b;--badbg:#fbeae8;--again:#d99311;--good:#1f7a4d;--goodbg:#e4f4ec;"
      "--lost:#1b2430}"
      "@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1a2029;--ink:#e4e9ef;--dim:#93a0af;--line:#2a323d;--work:#4f9fd6;"
      "--wait1:#4a5664;--wait2:#616f80;--wait3:#7d8c9d;--wait4:#323b47;--track:#252d38;--bad:#ef6a5f;--badbg:#3b2020;--again:#e0a63a;"
      "--good:#6cc799;--goodbg:#17332a;--lost:#f1f4f8}}"
      "*{box-sizing:border-box}"
      "body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu "
      "Sans',sans-serif;"
      "font-variant-numeric:tabular-nums}"
      "main{max-width:1080px;margin:0 auto;padding:28px 20px 48px}"
      "header{display:flex;gap:16px;justify-content:space-between;align-items:flex-start;margin-bottom:20px}"
      "h1{font-size:26px;line-height:1.25;margin:0;overflow-wrap:anywhere}header p{margin:4px 0 0}"
      ".dim,small{color:var(--dim)}"
      ".badge{border-radius:99px;padding:3px 12px;font-size:13px;font-weight:600;white-space:nowrap;margin-top:5px}"
      ".badge.good{color:var(--good);background:var(--goodbg)}.badge.bad{color:var(--bad);background:var(--badbg)}"
      ".lead{background:var(--badbg);border-radius:8px;padding:10px 14px;margin:0 0 20px}"
      ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin-bottom:16px}"
      ".tile,section{background:var(--card);border:1px solid var(--line);border-radius:10px}"
      ".tile{padding:12px 16px}.tile span{display:block;font-size:13px;color:var(--dim)}"
      ".tile strong{display:block;font-size:25px;line-height:1.3;font-weight:650;white-space:nowrap}.tile.bad strong{color:var(--bad)}"
      ".tile small{font-size:12.5px}"
      "section{padding:16px 20px 18px;margin-bottom:16px}"
      "h2{font-size:16px;margin:0 0 12px;font-weight:650}h2 small{font-weight:400;font-size:13px;margin-left:6px}"
      ".stack{display:flex;height:26px;border-radius:5px;overflow:hidden;gap:1px}.stack i{flex:0 1 0;min-width:1px}"
      ".p0{background:var(--work)}.p1{background:var(--wait1)}.p2{background:var(--wait2)}.p3{background:var(--wait3)}"
      ".p4{background:var(--wait4)}.pf{background:var(--bad)}.pr{background:var(--again)}.pl{background:var(--lost)}"
      ".legend{list-style:none;margin:10px 0 0;padding:0;display:flex;flex-wrap:wrap;gap:4px 20px;font-size:13px}"
      ".legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:7px}"
      ".lanes{display:grid;gap:3px;font-size:12.5px}"
      ".lane{display:grid;grid-template-columns:26px 1fr 48px;gap:8px;align-items:center}"
      ".who,.share{text-align:right;color:var(--dim);white-space:nowrap}"
      ".lane svg{display:block;width:100%;height:22px;background:var(--track);border-radius:3px;fill:var(--work)}"
      ".many .lane svg{height:12px}"
      "svg .f{fill:var(--bad)}svg .r{fill:var(--again)}svg .l{fill:var(--lost)}svg rect:hover{opacity:.7}"
      ".axis div{position:relative;height:20px;border-top:1px solid var(--line)}"
      ".axis div span{position:absolute;top:0;padding:3px 0 0 4px;border-left:1px solid var(--line);color:var(--dim);white-space:nowrap;"
      "line-height:1.2}"
      ".bars{display:flex;align-items:flex-end;gap:2px;height:120px;border-bottom:1px solid var(--line)}"
      ".bars i{flex:1;height:100%;display:flex;align-items:flex-end}.bars b{width:100%;background:var(--work);border-radius:2px 2px 0 0}"
      ".bars i:hover b{opacity:.7}"
      ".ends{display:flex;justify-content:space-between;font-size:12.5px;color:var(--dim);margin-top:3px}"
      "dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(110px,1fr));gap:8px 16px;margin:14px 0 0}"
      "dt{font-size:12.5px;color:var(--dim)}dd{margin:0;font-weight:600;white-space:nowrap}"
      ".scroll{overflow:auto;max-height:690px}table{border-collapse:collapse;width:100%;font-size:14px}"
      "th{position:sticky;top:0;background:var(--card);font-weight:500;font-size:12.5px;color:var(--dim);border-bottom:1px solid "
      "var(--line)}"
      "th,td{text-align:right;padding:5px 10px;white-space:nowrap;vertical-align:top}th:first-child,td:first-child{padding-left:0}"
      "th:last-child,td:last-child{padding-right:0}tr+tr td{border-top:1px solid var(--line)}tr:nth-child(2) td{border-top:0}"
      ".text{text-align:left}.error{font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:12.5px;white-space:pre-wrap;"
      "overflow-wrap:anywhere}td.error{width:60%;min-width:180px;padding-top:7px}"
      ".meter{width:40%;vertical-align:middle}.meter i{display:block;height:10px;border-radius:2px}"
      ".notes{margin:0;padding-left:18px;color:var(--dim);font-size:13.5px}"
      "@media(max-width:640px){main{padding:18px 12px 32px}.wide,.axis "
      ".odd{display:none}header{flex-direction:column;gap:8px}.badge{margin:0}"
      "h1{font-size:22px}section{padding:14px 14px 16px}.tiles{grid-template-columns:1fr 1fr;gap:8px}.tile{padding:10px 12px}"
      ".tile strong{font-size:21px}h2 small{display:block;margin:2px 0 0}th,td{padding:5px 7px}.lane{grid-template-columns:20px 1fr "
      "44px;gap:6px}"
      ".meter{width:auto;min-width:50px}td.error{width:auto}.bars{gap:1px}}"
      "@media print{body{background:none}.scroll{max-height:none}section,.tile{break-inside:avoid}}";

  const report_data& data_;
  std::string out_;
  std::vector<std::size_t> rows_;
  std::size_t beyond_ = 0;  // workers that have no row
  time working_{0};         // of those that have
};

using report_page = basic_report_page<void>;

}  // namespace manyhands::detail
