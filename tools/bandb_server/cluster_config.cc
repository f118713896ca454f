#include "cluster_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/status.h"
#include "cluster/start_options.h"
#include "net/address.h"

namespace bandb::server_program {

namespace {

bool IsSaid(const Config& config, std::string_view setting) { return config.lines.find(setting) != config.lines.end(); }

std::string_view HostOf(std::string_view address) { return address.substr(0, address.rfind(':')); }
std::string_view PortOf(std::string_view address) { return address.substr(address.rfind(':') + 1); }

// The first one is listened on.
absl::StatusOr<net::SocketAddress> FirstOf(const std::string& address) {
  BANDB_ASSIGN_OR_RETURN(const std::vector<net::SocketAddress> all, net::ParseAddresses(address));
  return all.front();
}

absl::Status Wrong(const std::string& address, std::string_view why) {
  return base::Error(absl::StatusCode::kInvalidArgument, "{}, {}", address, why);
}

absl::Status CheckPeerListen(const Config& config) {
  const std::string& listen = config.cluster.listen;
  BANDB_ASSIGN_OR_RETURN(const std::vector<net::SocketAddress> addresses, net::ParseAddresses(listen));
  const bool is_open = config.cluster_tls.ca.empty() && !config.cluster_insecure;
  if (is_open && !std::all_of(addresses.begin(), addresses.end(), net::IsLoopback)) {
    return Wrong(listen,
                 "which other machines can reach, and peers are not authenticated: anybody there could read and write "
                 "everything; set cluster.tls_ca, tls_cert and tls_key, or say cluster.insecure = true if the network "
                 "is trusted");
  }
  return absl::OkStatus();
}

// Of what others are to dial.
absl::Status CheckDialed(const std::string& address) {
  if (address.empty()) return absl::OkStatus();
  BANDB_ASSIGN_OR_RETURN(const net::SocketAddress first, FirstOf(address));
  if (net::IsWildcard(first)) return Wrong(address, "which others cannot dial");
  if (net::PortOf(first) == 0) return Wrong(address, "whose port others cannot dial");
  return absl::OkStatus();
}

}  // namespace

void ChooseMode(Config* config) {
  const bool is_said = IsSaid(*config, "server.mode") || !config->cluster.listen.empty() ||
                       !config->cluster.join.empty() || config->cluster.bootstrap;
  if (!is_said && config->server.durability == Durability::kOs) config->mode = Mode::kStandalone;
}

void CheckCluster(const Config& config, kv::OptionCheck* check) {
  cluster::CheckOptions(config.cluster, check);
  const bool has_peers = !config.cluster.listen.empty() || !config.cluster.join.empty();
  if (config.mode == Mode::kStandalone) {
    if (has_peers) {
      check->Wrong({kv::OptionName{config.cluster.listen.empty() ? "join" : "listen"},
                    " makes a node of a cluster, and server.mode is \"standalone\""});
    }
    return;
  }
  if (config.server.durability == Durability::kOs) {
    check->Wrong(
        {std::string("server.durability is \"os\", which only server.mode = \"standalone\" has: what a "
                     "cluster acknowledges survives power loss")});
  }
}

void CheckPeerTls(const PeerTlsFiles& files, kv::OptionCheck* check) {
  const std::pair<std::string_view, bool> all[] = {
      {"ca", !files.ca.empty()}, {"cert", !files.cert.empty()}, {"key", !files.key.empty()}};
  const auto* const given = std::find_if(std::begin(all), std::end(all), [](const auto& one) { return one.second; });
  if (given == std::end(all)) {
    const char* const alone = !files.crl.empty() ? "crl" : !files.names.empty() ? "names" : nullptr;
    if (alone != nullptr) {
      check->Wrong({kv::OptionName{alone}, " is of no use without ", kv::OptionName{"ca"},
                    ": it says which of the nodes "
                    "that the authority has signed are trusted"});
    }
    return;
  }
  for (const auto& [name, is_given] : all) {
    if (is_given) continue;
    check->Wrong({kv::OptionName{name}, " is missing, and ", kv::OptionName{given->first},
                  " is not: TLS between nodes needs all three files"});
  }
}

std::vector<std::pair<std::string, absl::Status>> CheckClusterHosts(const Config& config) {
  const ClusterOptions& cluster = config.cluster;
  std::vector<std::pair<std::string, absl::Status>> found;
  if (config.mode == Mode::kStandalone) return found;
  if (!cluster.listen.empty()) found.emplace_back("cluster.listen", CheckPeerListen(config));
  found.emplace_back("cluster.advertise", CheckDialed(cluster.advertise));
  found.emplace_back("cluster.client_address", CheckDialed(cluster.client_address));
  if (!cluster.advertise.empty() && Clash(cluster.advertise, config.server.listen)) {
    found.emplace_back("cluster.advertise", Wrong(cluster.advertise, "the address of server.listen, too"));
  }
  const std::string& own = cluster.advertise.empty() ? cluster.listen : cluster.advertise;
  for (const std::string& address : cluster.join) {
    if (Clash(address, config.server.listen)) {
      found.emplace_back("cluster.join", Wrong(address, "where this server itself listens for clients"));
    } else if (address != own && (Clash(address, own) || Clash(address, cluster.listen))) {
      found.emplace_back("cluster.join", Wrong(address, "which is this node itself"));
    }
  }
  return found;
}

bool Clash(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return false;
  const absl::StatusOr<net::SocketAddress> first = FirstOf(a);
  const absl::StatusOr<net::SocketAddress> second = FirstOf(b);
  if (!first.ok() || !second.ok()) return false;
  if (net::PortOf(*first) == 0 || net::PortOf(*first) != net::PortOf(*second)) return false;
  return net::IsWildcard(*first) || net::IsWildcard(*second) ||
         net::FormatAddress(*first) == net::FormatAddress(*second);
}

ClusterOptions ClusterOptionsOf(const Config& config, bool database_exists) {
  ClusterOptions options = config.cluster;
  options.dir = config.data;
  options.storage = config.storage;
  // Where nobody else can belong to it there is nothing to say.
  if (options.listen.empty()) options.bootstrap = true;
  if (!config.storage.create_if_missing && !database_exists) options.bootstrap = false;
  if (!options.client_address.empty() || PortOf(config.server.listen) == "0") return options;
  options.client_address = config.server.listen;
  const absl::StatusOr<net::SocketAddress> listens = FirstOf(config.server.listen);
  if (!listens.ok() || !net::IsWildcard(*listens)) return options;
  const std::string& dialed = options.advertise.empty() ? options.listen : options.advertise;
  options.client_address = dialed.empty() ? "" : fmt::format("{}:{}", HostOf(dialed), PortOf(config.server.listen));
  return options;
}

}  // namespace bandb::server_program
